"""What the server refuses, and the headers it always sends; no browser needed."""

import httpx
import numpy as np
import pytest

from convlens.explorer.shelf import MOST_UPLOAD_BYTES, png


@pytest.fixture(scope="module")
def client(address):
    with httpx.Client(base_url=address) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/convolution", "/static/core/app.js", "/api/pictures", "/nothing"])
def test_every_answer_has_the_strict_policy(client, path):
    policy = client.get(path).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_another_host_name_is_refused(client):
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 403


def test_another_origin_is_refused(client):
    answer = client.post("/api/convolution", json={}, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403


def test_an_unknown_field_is_named(client):
    answer = client.post("/api/convolution", json={"input": [[[1]]], "kernel": [[[1]]], "strid": 2})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("strid: ")


def test_an_upload_is_bounded_in_memory_and_named_by_its_content(client):
    plain = [png(np.full((4, 5, 3), shade, np.uint8)) for shade in range(20)]
    names = [client.post("/api/pictures", content=content).json()["name"] for content in plain]
    assert len(set(names)) == 20
    assert client.get(f"/api/pictures/{names[-1]}").headers["content-type"] == "image/png"
    forgotten = client.get(f"/api/pictures/{names[0]}")
    assert forgotten.status_code == 400
    assert "upload it again" in forgotten.json()["error"]


def test_what_is_no_picture_or_too_large_is_refused(client):
    assert client.post("/api/pictures", content=b"hello").status_code == 400
    answer = client.post("/api/pictures", content=bytes(MOST_UPLOAD_BYTES + 1))
    assert answer.status_code == 400
    assert "20 MB" in answer.json()["error"]


def test_the_picture_endpoint_answers_with_the_shape(client):
    body = {"kernel": [[1, 0], [0, -1]], "picture": "digit", "stride": 2}
    answer = client.post("/api/convolution/picture", json=body).json()
    assert answer["before_size"] == [64, 64]
    assert answer["after_size"] == [32, 32]
