import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convlens.serving.refusals import RefusalError
from convlens.serving.uploads import parse

NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters='"\\%'), min_size=1, max_size=20)


def _encoded(files):
    request = httpx.Request("POST", "http://here", files=files)
    return request.read(), request.headers["content-type"]


@given(st.lists(st.tuples(NAMES, st.binary(max_size=300)), min_size=1, max_size=5))
def test_what_a_client_packs_is_unpacked(files):
    body, content_type = _encoded([("file", file) for file in files])
    assert [(upload.name, upload.content) for upload in parse(body, content_type, max_files=5)] == files


@given(st.data(), st.binary(max_size=100))
def test_a_body_that_is_cut_is_refused(data, content):
    body, content_type = _encoded([("file", ("a.png", content))])
    cut = data.draw(st.integers(0, len(body) - 5))
    with pytest.raises(RefusalError) as refused:
        parse(body[:cut], content_type, max_files=5)
    assert refused.value.status == 400


@given(
    st.one_of(st.binary(max_size=300), st.binary(max_size=100).map(lambda b: b"--x\r\n" + b + b"\r\n--x--\r\n")),
    st.sampled_from(
        [
            "multipart/form-data; boundary=x",
            "application/json",
            "application/json; charset=utf-8",
            "text/plain",
            "multipart/form-data; boundary=",
            None,
        ]
    ),
)
def test_any_other_bytes_are_refused_and_nothing_else_happens(body, content_type):
    with pytest.raises(RefusalError):
        parse(body, content_type, max_files=5)


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON;charset=UTF-8"])
def test_json_may_say_its_character_set(content_type):
    (upload,) = parse(b'{"files": [{"file": "a.png", "content": "YWJj"}]}', content_type, max_files=5)
    assert (upload.name, upload.content) == ("a.png", b"abc")


def test_other_fields_are_ignored_and_nameless_images_are_numbered():
    boundary = b"--x\r\n"
    part = b'Content-Disposition: form-data; name="file"\r\n\r\nabc\r\n'
    other = b'Content-Disposition: form-data; name="comment"\r\n\r\nhello\r\n'
    body = boundary + other + boundary + part + boundary + part + b"--x--\r\n"
    uploads = parse(body, 'multipart/form-data; boundary="x"', max_files=5)
    assert [(upload.name, upload.content) for upload in uploads] == [("image 1", b"abc"), ("image 2", b"abc")]
