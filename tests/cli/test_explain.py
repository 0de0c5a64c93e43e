import io
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from convlens import images, runs
from convlens.cli.main import main
from convlens.images import Preprocessing
from convlens.runs.environment import versions
from convlens.runs.run_weights import save_weights


@pytest.fixture
def run(tmp_path):
    description = runs.Description(
        name="digits",
        created="2026-11-24T06:00:00+00:00",
        network=runs.NetworkChoice(name="lenet5", classes=3, channels=1, size=(32, 32)),
        classes=("cat", "dog", "овца"),
        preprocessing=Preprocessing(size=(32, 32), resize=(32, 32), mean=(0.5,), std=(0.25,), channels=1),
        config={},
        data=runs.DataSummary(source="pets", fingerprint="abc", splits={"train": 8}),
        numerics={"precision": "float32"},
        versions=versions(),
    )
    folder = runs.create_folder(tmp_path, "pets", description)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        network = folder.build_network()
    for which in ("best", "last"):
        save_weights(network.state_dict(), folder.weights_path(which))
    return folder.path


@pytest.fixture
def pictures(tmp_path):
    paths = [tmp_path / "a" / "one.png", tmp_path / "b" / "one.png", tmp_path / "b" / "broken.png"]
    for number, path in enumerate(paths[:2]):
        path.parent.mkdir()
        pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    paths[2].write_bytes(b"no image")
    return [str(path) for path in paths]


def test_pictures_arrays_and_a_sheet_are_written(run, pictures, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["explain", str(run), *pictures[:2], "--out", str(out), "--sheet", "--target", "dog", "--json"]
    assert main(words) == 0
    entries = json.loads(capsys.readouterr().out)["explanations"]
    assert [entry["picture"] for entry in entries] == [str(out / "one-gradcam.png"), str(out / "one-2-gradcam.png")]
    for entry in entries:
        heat = np.load(entry["array"])
        assert (heat.shape, heat.dtype, heat.min() >= 0, heat.max() <= 1) == ((32, 32), np.float32, True, True)
        assert images.read(entry["picture"]).shape == (224, 224, 3)
        assert (entry["label"], entry["layer"]) == ("dog", "s4")
    sheet = images.read(out / "sheet.png")
    assert sheet.shape[1] > 4 * 224
    assert len(np.unique(sheet)) > 20


def test_what_is_piped_in_and_what_lies_behind_an_address(run, pictures, tmp_path, capsys, monkeypatch):
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/a/one.png"
        content = io.TextIOWrapper(io.BytesIO(Path(pictures[0]).read_bytes()))
        monkeypatch.setattr("sys.stdin", content)
        words = [
            "explain",
            str(run),
            "-",
            pictures[0],
            address,
            f"{address}.gone",
            "--out",
            str(tmp_path / "out"),
            "--json",
        ]
        assert main(words) == 1
    finally:
        server.shutdown()
        server.server_close()
    piped, file, there, gone = json.loads(capsys.readouterr().out)["explanations"]
    assert piped["probability"] == file["probability"] == there["probability"]
    assert (there["file"], Path(there["picture"]).name) == (address, "one-2-gradcam.png")
    assert Path(piped["picture"]).name == "standard-input-gradcam.png"
    assert "is not there; check the address" in gone["error"]


@pytest.mark.parametrize("method", ["gradcam++", "eigencam", "occlusion", "integrated-gradients"])
def test_every_method_is_there(run, pictures, tmp_path, capsys, method):
    assert main(["explain", str(run), pictures[0], "--method", method, "--out", str(tmp_path)]) == 0
    assert f"{method}" in capsys.readouterr().out
    assert (tmp_path / f"one-{method}.png").exists()


def test_one_bad_file_fails_alone(run, pictures, tmp_path, capsys):
    assert main(["explain", str(run), *pictures, "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 2
    assert "text file" in said.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "grad-cam"], "unknown method 'grad-cam'; did you mean gradcam"),
        (["--target", "dgo"], "unknown class 'dgo'; did you mean dog"),
        (["--layer", "s44"], "unknown layer 's44'; did you mean s4"),
        (["--method", "occlusion", "--patch", "99"], "patch is 99; the image has sides of 32 and 32"),
        (["--method", "occlusion", "--layer", "s4"], "occlusion reads no layer; leave the layer 's4' out"),
        (["--patch", "9"], "gradcam covers nothing; leave the patch 9 out"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(run, pictures, tmp_path, capsys, words, message):
    assert main(["explain", str(run), pictures[0], "--out", str(tmp_path / "out"), *words]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert message in said[0]
    assert not (tmp_path / "out").exists()
