"""What cannot be served is said in one line, with exit code 2."""

import socket
import subprocess
import sys

import pytest
import torch

from convlens.cli.main import main
from convlens.errors import ConvlensError
from convlens.serving.server_settings import Settings
from convlens.serving.tokens import allows, read_token

TOKEN = "0123456789abcdef"


def _complaint(capsys, *words):
    assert main(["serve", *map(str, words)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_a_port_in_use_is_named(run, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} on 127.0.0.1 is in use" in _complaint(capsys, run, "--port", port)


def test_what_is_no_run_is_named(tmp_path, capsys):
    assert "there is nothing at" in _complaint(capsys, tmp_path / "nothing")
    assert "has no run.yaml" in _complaint(capsys, tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device is there")
@pytest.mark.parametrize("device", ["cuda:7", "gpu"])
def test_a_device_that_is_not_here(run, device):
    words = [sys.executable, "-m", "convlens", "serve", str(run), "--device", device, "--port", "0"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)  # a process whose event loop is its own
    assert done.returncode == 2
    assert f"this machine has no device '{device}'" in done.stderr.splitlines()[-1]


def test_a_host_that_is_not_here(run, capsys):
    assert "host is '256.1.1.1'" in _complaint(capsys, run, "--host", "256.1.1.1")
    assert "not an address of this machine" in _complaint(capsys, run, "--host", "192.0.2.1")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("port", 70_000, "port is 70000; use 0 to 65535, 0 for a free one"),
        ("workers", 0, "workers is 0; use at least 1"),
        ("threads", 0, "threads is 0"),
        ("batch", 0, "batch is 0"),
        ("queue", 0, "queue is 0"),
        ("max_body_mb", 0, "max_body_mb is 0; use more than 0"),
        ("timeout_s", float("nan"), "timeout_s is nan"),
        ("max_delay_ms", -1, "max_delay_ms is -1; use at least 0"),
        ("max_files", 1000, "raise queue or lower max_files"),
        ("log_level", "inof", "did you mean info"),
    ],
)
def test_a_setting_out_of_range_is_named(name, value, message):
    with pytest.raises(ConvlensError, match=message):
        Settings(**{name: value})


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_token_file_that_others_can_reach_is_refused(run, tmp_path, capsys, mode):
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(mode)
    assert f"has mode {mode:o}, so others can read it; run: chmod 600" in _complaint(capsys, run, "--token-file", path)


@pytest.mark.parametrize("content", ["", "short", "two words of a token", "a-token-ж-0123456789"])
def test_a_token_file_without_a_token_is_refused(tmp_path, content):
    path = tmp_path / "token"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConvlensError, match="holds no token"):
        read_token(path)
    with pytest.raises(ConvlensError, match="cannot be opened"):
        read_token(tmp_path / "nothing")


def test_a_token_is_read_and_compared(tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    token = read_token(path)
    assert token == TOKEN
    assert allows(token, f"bearer {TOKEN}".encode())
    assert not allows(token, b"Bearer \xff")
    assert not allows(token, None)
