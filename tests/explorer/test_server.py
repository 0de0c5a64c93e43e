"""The command: its port, its address, how it ends, and what it says to wrong input."""

import signal
import socket
import subprocess
import sys

import httpx
import pytest
import torch

from convlens import networks
from convlens.classifiers import resolve
from convlens.cli.main import main
from convlens.errors import ConvlensError
from convlens.explorer import server
from convlens.explorer.inside import Clinic
from convlens.explorer.shelf import ImageShelf
from convlens.explorer.subjects import Subjects


def test_it_answers_at_the_printed_address_and_ctrl_c_is_no_failure():
    command = [sys.executable, "-m", "convlens", "explore", "lenet5", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        address = running.stdout.readline().split()[2]
        opened, page = httpx.get(f"{address}/api/opened").json(), httpx.get(address).text
        # as the server of networks, it reads no more of a head than a head may have
        with socket.create_connection((server.HOST, int(address.rpartition(":")[2])), 10) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nX-Much: " + 50_000 * b"a")
            assert connection.recv(99).startswith(b"HTTP/1.1 431")
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
    assert opened == {"network": "lenet5", "picture": None, "run": None}
    assert page.startswith("<!doctype html>")


def test_a_port_in_use_is_said_but_the_usual_one_is_only_a_wish(monkeypatch):
    with socket.create_server((server.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConvlensError, match=f"port {port} cannot be used .* choose another"):
            server.bind(port)
        monkeypatch.setattr(server, "USUAL_PORT", port)
        with server.bind(None) as another:
            assert another.getsockname()[1] != port
    with pytest.raises(ConvlensError, match="port 70000 does not exist"):
        server.bind(70000)


def test_a_run_is_opened_with_its_weights(run_path):
    opened = resolve(str(run_path))
    assert opened.name == "explored"
    assert opened.image_shape == (1, 32, 32)
    assert opened.classes == tuple("0123456789")
    assert not opened.network.training


def test_anybodys_module_is_opened_from_its_file(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))\n"
    )
    opened = resolve(f"{tmp_path}/mine.py:net")
    assert opened.name == "mine.py:net"
    assert opened.image_shape == (3, 224, 224)
    assert opened.classes == tuple("01234")
    look = Clinic(ImageShelf(), opened).look(opened.name, "temple")
    assert look.probabilities().shape == (5,)


def test_a_file_of_weights_is_put_into_its_network(tmp_path):
    saved = networks.create("lenet5").eval()
    torch.save(saved.state_dict(), tmp_path / "mine.pt")
    opened = resolve("lenet5", weights=str(tmp_path / "mine.pt"))
    assert opened.name == "lenet5"
    assert torch.equal(opened.network.get_parameter("c1.weight"), saved.get_parameter("c1.weight"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["resnet81"], "unknown network, run or artifact 'resnet81'; did you mean"),
        (["runs/train/none"], "there is nothing at 'runs/train/none'"),
        (["runs/x", "--weights", "imagenet1k_v1"], "there is nothing at 'runs/x'"),
        (["none.py:Net"], "there is no file none.py"),
        (["--image", "none.jpg"], "none.jpg cannot be opened"),
        ([__file__], f"{__file__!r} is code; say what in it makes the network, as in {__file__}:Net"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(words, said, capsys):
    assert main(["explore", "--no-browser", *words]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"convlens: {said}")
    assert shown.count("\n") == 1


def test_a_shipped_artifact_shows_its_structure_and_says_what_it_cannot(artifacts):
    opened = resolve(artifacts("onnx"))
    assert Subjects(opened).anatomy(opened.name).parameters == 61706
    with pytest.raises(ConvlensError, match=r"into whose network one cannot look; give the run"):
        Clinic(ImageShelf(), opened).look(opened.name, "temple").probabilities()
