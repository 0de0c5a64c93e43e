"""Train, export, serve: through the command, as a person does it, and three runtimes give one answer."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import httpx
import pytest
from PIL import Image

from convlens.data import open_dataset

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

DIGITS = 24


def convlens(*words, cwd):
    done = subprocess.run(
        [sys.executable, "-m", "convlens", *words], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


@contextlib.contextmanager
def served(path, cwd):
    """The address of `convlens serve PATH`, which is ended by SIGTERM and must end well."""
    command = [sys.executable, "-m", "convlens", "serve", path, "--port", "0", "--log-level", "error"]
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        said = ""
        try:
            while not (address := re.search(r"http://127\.0\.0\.1:\d+", said)):
                line = process.stdout.readline()
                assert line, f"ended with {process.wait()}: {said}"
                said += line
            while httpx.get(f"{address[0]}/ready").status_code != 200:  # 503 until it is warm
                assert process.poll() is None, said
                time.sleep(0.1)
            yield address[0]
        finally:
            process.send_signal(signal.SIGTERM)
            said += process.stdout.read()
            assert process.wait(timeout=60) == 0, said


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with a trained run, two artifacts of it, and digits that training never saw, named after their class."""
    root = tmp_path_factory.mktemp("end-to-end")
    os.environ.setdefault("CONVLENS_CACHE", str(root / "cache"))
    digits = open_dataset("digits")
    (root / "new").mkdir()
    for record in digits.records("test")[:DIGITS]:
        pixels = digits.read(record, channels=1)[:, :, 0]
        Image.fromarray(pixels).save(root / "new" / f"{record.label}-{record.key.split('/')[-1]}.png")
    convlens("train", "digits", "--network", "lenet5", "--epochs", "12", "--name", "digits", "--quiet", cwd=root)
    convlens("export", "runs/train/digits", "--to", "onnx", "--out", "digits.onnx", cwd=root)
    convlens("export", "runs/train/digits", "--to", "openvino", "--out", "digits.xml", cwd=root)
    return root


@pytest.mark.slow
def test_trained_exported_served_and_alike_on_three_runtimes(work):
    answers = {}
    for path in ("runs/train/digits", "digits.onnx", "digits.xml"):
        offline = json.loads(convlens("predict", path, "new", "--top", "10", "--json", cwd=work))["predictions"]
        files = [("file", (p["file"], (work / p["file"]).read_bytes(), "image/png")) for p in offline]
        with served(path, work) as address:
            reply = httpx.post(f"{address}/predict?top=10", files=files, timeout=60)
        assert reply.status_code == 200
        online = reply.json()["predictions"]
        assert [p["classes"] for p in online] == [p["classes"] for p in offline]
        answers[path] = [{c["label"]: c["probability"] for c in p["classes"]} for p in offline]
        right = sum(p["classes"][0]["label"] == p["file"].split("/")[-1][0] for p in offline)
        assert right >= 0.9 * DIGITS
    ours = answers.pop("runs/train/digits")
    for theirs in answers.values():
        for one, other in zip(ours, theirs, strict=True):
            assert other == pytest.approx(one, abs=2e-4)
