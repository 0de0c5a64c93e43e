"""Every command and every Python line of the README runs as it stands there."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

README = Path(__file__).parents[1] / "README.md"
SERVERS = {"serve": "/health", "explore": "/"}


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def _commands() -> list[str]:
    lines = [line.split("  #")[0].strip() for block in _blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line]


def _draw(path: Path, shape: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    image = Image.fromarray(random.integers(0, 90, (80, 96, 3), np.uint8))
    left, top = random.integers(5, 40, 2)
    draw = ImageDraw.Draw(image)
    (draw.ellipse if shape == "dog" else draw.rectangle)((left, top, left + 36, top + 30), fill=(230, 200, 40))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the README takes for granted: `photos/` with a folder a class, `new/` and `holiday/`."""
    root = tmp_path_factory.mktemp("readme")
    for number in range(80):
        shape = ("cat", "dog")[number % 2]
        _draw(root / "photos" / shape / f"{number:03}.jpg", shape, number)
    _draw(root / "new" / "a.jpg", "cat", 1000)
    _draw(root / "new" / "b.jpg", "dog", 1001)
    _draw(root / "holiday" / "1.jpg", "cat", 1002)
    return root


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "CONVLENS_CACHE": str(folder / "cache"), "NO_COLOR": "1"}


def _serve(command: list[str], path: str, folder: Path) -> None:
    """Start a server on a free port, ask it once, and end it as a person would."""
    with subprocess.Popen(
        command, cwd=folder, env=_environment(folder), stdout=subprocess.PIPE, text=True, stderr=subprocess.STDOUT
    ) as process:
        try:
            said = ""
            while not (address := re.search(r"http://127\.0\.0\.1:\d+", said)):
                line = process.stdout.readline()
                assert line, f"ended with {process.wait()}: {said}"
                said += line
            with urllib.request.urlopen(address[0] + path, timeout=60) as answer:
                assert answer.status == 200
        finally:
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            process.wait(timeout=60)


@pytest.mark.slow
def test_every_command_runs_in_the_order_of_the_readme(folder):
    commands = _commands()
    assert len(commands) >= 10
    for line in commands:
        words = shlex.split(line)
        assert words[0] == "convlens", line
        command = [sys.executable, "-m", *words]
        if words[1] in SERVERS:
            port = ["--port", "0"] + (["--no-browser"] if words[1] == "explore" else [])
            _serve(command + port, SERVERS[words[1]], folder)
        else:
            done = subprocess.run(
                command, cwd=folder, env=_environment(folder), capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    code = "\n".join(_blocks("python")) + "\nimport json; print(json.dumps(str(answers)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=_environment(folder), capture_output=True, text=True, check=True
    )
    assert "a.jpg" in json.loads(done.stdout.splitlines()[-1])
