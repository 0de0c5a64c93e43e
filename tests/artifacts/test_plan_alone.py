"""A plan where only what pyproject's group `plan` names is installed: no torch, no other runtime."""

import os
import re
import subprocess
import sys
import time
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from PIL import Image
from torch import nn

import convlens
from convlens import shipping

pytest.importorskip("convlens_kernels")

# found by every process of the test before anything else is imported
ONLY = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        first = name.partition(".")[0]
        starting = first.startswith(("_sysconfigdata", "_editable_"))  # what the interpreter and its site import
        if first not in {allowed!r} and first not in sys.stdlib_module_names and not starting:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


def needed():
    """The modules of the group's distributions and of all that they need."""
    told = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    waiting, found = list(told["dependency-groups"]["plan"]), {}
    while waiting:
        requirement = Requirement(waiting.pop())
        if (requirement.marker and not requirement.marker.evaluate({"extra": ""})) or requirement.name in found:
            continue
        found[requirement.name] = distribution(requirement.name)
        waiting.extend(found[requirement.name].requires or ())
    files = [file for one in found.values() for file in one.files]
    return {file.parts[0].partition(".")[0] for file in files} | {"convlens", "convlens_kernels"}


@pytest.fixture
def plan(tmp_path, monkeypatch):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    path = shipping.export(module, "plan", out=tmp_path / "net.plan", classes=["a", "b", "c"], size=(16, 16)).path
    (tmp_path / "sitecustomize.py").write_text(ONLY.format(allowed=needed()))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    return path


def python(*words):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)


def test_it_predicts_serves_and_explains(plan, tmp_path):
    assert "No module named 'torch'" in python("-c", "import torch").stderr
    picture = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)).save(picture)
    label = convlens.load(plan).predict(picture)[0].classes[0].label
    done = python("-m", "convlens", "predict", str(plan), str(picture), "--top", "1")
    assert f"noise.png: {label} " in done.stdout, done.stderr
    done = python("-m", "convlens", "inspect", str(plan))
    assert done.stderr == "convlens: this needs the package 'torch', which is not installed here: pip install 'torch'\n"
    words = [sys.executable, "-m", "convlens", "serve", str(plan), "--port", "0"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as server:
        try:
            url = re.search(r"http://\S+", server.stderr.readline()).group()
            with httpx.Client(base_url=url, timeout=60) as client:
                while client.get("/ready").status_code != 200:
                    time.sleep(0.05)
                file = {"file": picture.read_bytes()}
                assert client.post("/predict", files=file).json()["predictions"][0]["classes"][0]["label"] == label
                heat = client.post("/explain", files=file)
                assert heat.headers["content-type"] == "image/png", heat.text
        finally:
            server.terminate()
        server.stderr.read()
    assert server.returncode == 0
