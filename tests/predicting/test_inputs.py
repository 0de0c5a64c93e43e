"""Whatever a user calls an image is answered as its file would be."""

import http.server
import io
import json
import sys
import threading
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from convlens import predicting
from convlens.cli.main import main
from convlens.errors import ConvlensError
from convlens.images import Preprocessing


class Brightness:
    """Says how much of an image is red, green and blue."""

    classes = ("red", "green", "blue")
    preprocessing = Preprocessing(size=(4, 6), resize=(4, 6), mean=(0.0,) * 3, std=(1.0,) * 3)

    def probabilities(self, x_NCHW):
        share = x_NCHW.mean(axis=(2, 3)) + 1e-3
        return (share / share.sum(axis=1, keepdims=True)).astype(np.float32)


PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)


@pytest.fixture
def photo(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def asked(images):
    return [answer.classes for answer in predicting.predict(Brightness(), images)]


def test_images_in_memory_are_answered_as_their_file(photo):
    expected = asked(photo)
    chw = PIXELS.transpose(2, 0, 1).copy()
    for image in (
        str(photo),
        photo.read_bytes(),
        bytearray(photo.read_bytes()),
        memoryview(photo.read_bytes()),
        PIXELS,
        PIXELS.astype(np.float32) / 255,
        Image.fromarray(PIXELS),
        torch.from_numpy(chw),
        torch.from_numpy(chw) / 255,
    ):
        assert asked(image) == expected
        assert asked([image]) == expected
    with photo.open("rb") as opened:
        assert asked(opened) == expected
    assert asked([io.BytesIO(photo.read_bytes())]) == expected
    assert len(asked(torch.from_numpy(chw).to(torch.bfloat16) / 255)) == 1
    for several in (PIXELS[None].repeat(3, axis=0), torch.from_numpy(chw)[None].expand(3, -1, -1, -1), [PIXELS] * 3):
        assert asked(several) == expected * 3
    assert [answer.file for answer in predicting.predict(Brightness(), [PIXELS, photo, PIXELS])] == [
        "image 0",
        str(photo),
        "image 2",
    ]


def test_pillow_pictures_go_the_way_of_files(tmp_path):
    picture = Image.new("RGBA", (6, 4), (255, 0, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(PIXELS)
    turned.info["exif"] = exif.tobytes()
    picture.save(tmp_path / "clear.png")
    turned.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        assert asked(opened) == asked(tmp_path / "turned.png")
    assert asked(picture) == asked(tmp_path / "clear.png")
    gray = Image.fromarray(PIXELS[:, :, 0])
    assert asked(gray) == asked(PIXELS[:, :, 0])


def test_nothing_gives_nothing():
    assert predicting.predict(Brightness(), []) == []
    assert predicting.predict(Brightness(), ()) == []
    assert predicting.predict(Brightness(), np.zeros((0, 8, 8, 3), np.uint8)) == []
    assert predicting.predict(Brightness(), torch.zeros(0, 3, 8, 8)) == []


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 4, 6), np.uint8), r"array of shape \(3, 4, 6\); give \(H, W, C\).*transpose\(1, 2, 0\)"),
        (torch.zeros(4, 6, 3), r"tensor of shape \(4, 6, 3\); give \(C, H, W\).*permute\(2, 0, 1\)"),
        (PIXELS.astype(np.float32), r"floats from .* give uint8, or floats of 0\.\.1"),
        (torch.zeros(3, 4, 6, device="meta"), r"without plain numbers \(meta\); give a dense one"),
        (torch.zeros(4, 6).to_sparse(), r"without plain numbers \(sparse\); give a dense one"),
        (PIXELS.astype(np.int32), "image 0 holds int32; give uint8"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\)"),
        ([None], "NoneType is not an image"),
        ("", "a path is empty"),
        ([io.StringIO("cat")], "image 0 is a file of text; open it with 'rb'"),
    ],
)
def test_what_is_no_image_is_said(image, message):
    with pytest.raises(ConvlensError, match=message):
        predicting.predict(Brightness(), image)


def test_an_empty_path_is_not_the_working_folder(run, digits, capsys):
    assert main(["predict", str(run), ""]) == 2
    assert "a path is empty" in capsys.readouterr().err


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *arguments):
        pass


@pytest.fixture
def address(photo):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=photo.parent))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_addresses_are_images(photo, address):
    (photo.parent / "page.jpg").write_text("<html>not found</html>")
    found = predicting.predict(Brightness(), [f"{address}/a.png", f"{address}/gone.png", f"{address}/page.jpg"])
    assert found[0].classes == asked(photo)[0]
    assert found[0].file == f"{address}/a.png"
    assert "is not there; check the address" in found[1].error
    assert found[2].error.startswith(f"{address}/page.jpg is not an image that can be read; it is a web page")


def piped(monkeypatch, content):
    stdin = SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: False)
    monkeypatch.setattr(sys, "stdin", stdin)


def test_what_is_piped_in_is_an_image_or_names(run, digits, tmp_path, monkeypatch, capsys, address):
    for i in range(2):
        Image.fromarray(digits[i][:, :, 0]).save(tmp_path / f"{i}.png")
    assert main(["predict", str(run.path), str(tmp_path / "0.png"), str(tmp_path / "1.png"), "--json", "--quiet"]) == 0
    expected = [row["classes"] for row in json.loads(capsys.readouterr().out)["predictions"]]
    piped(monkeypatch, (tmp_path / "0.png").read_bytes())
    assert main(["predict", str(run.path), "-", "--json", "--quiet"]) == 0
    answered = json.loads(capsys.readouterr().out)["predictions"]
    assert [(row["file"], row["classes"]) for row in answered] == [("-", expected[0])]
    piped(monkeypatch, f"{tmp_path / '0.png'}\n{tmp_path / '1.png'}\n".encode())
    assert main(["predict", str(run.path), "-", "--json", "--quiet"]) == 0
    assert [row["classes"] for row in json.loads(capsys.readouterr().out)["predictions"]] == expected
    piped(monkeypatch, b"")
    assert main(["predict", str(run.path), "-"]) == 2
    assert "- is the standard input, and nothing comes on it" in capsys.readouterr().err
    assert main(["predict", str(run.path), f"{address}/0.png", "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["predictions"][0]["classes"] == expected[0]


def test_the_file_after_csv_is_written(run, digits, tmp_path, capsys):
    Image.fromarray(digits[0][:, :, 0]).save(tmp_path / "0.png")
    for flag, name in (("--csv", "out.csv"), ("--json", "out.json")):
        words = ["predict", str(run.path), str(tmp_path / "0.png"), "--quiet"]
        assert main([*words, flag]) == 0
        printed = capsys.readouterr().out
        assert main([*words, flag, str(tmp_path / name)]) == 0
        assert capsys.readouterr().out == ""
        assert (tmp_path / name).read_text().splitlines() == printed.splitlines()
