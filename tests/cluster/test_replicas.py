"""The service on a cluster: another run takes its place without a failed request."""

import io
import socket
import threading
import time

import httpx
import pytest
from PIL import Image

import convlens
from convlens.cli.main import main
from convlens.cluster.replicas import deploy
from convlens.serving.server_settings import Settings


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def picture(digits):
    content = io.BytesIO()
    Image.fromarray(digits[0][:, :, 0]).save(content, "png")
    return content.getvalue()


class Client:
    """Asks without a pause, until it is told to stop."""

    def __init__(self, address, picture):
        self.address, self.picture, self.codes, self.over = address, picture, [], threading.Event()
        self.thread = threading.Thread(target=self.ask)

    def ask(self):
        with httpx.Client(timeout=30) as client:
            while not self.over.is_set():
                try:
                    answer = client.post(f"{self.address}/predict", files={"file": ("a.png", self.picture)})
                    self.codes.append(answer.status_code)
                except httpx.HTTPError as error:
                    self.codes.append(repr(error))
                time.sleep(0.02)


def test_another_run_takes_its_place_without_a_failed_request(cluster, another_node, run, picture, port, tmp_path):
    from ray import serve

    other = convlens.train(
        "digits", network="lenet5", epochs=1, seed=1, runs=str(tmp_path), name="other", quiet=True, tune=False
    )
    settings = Settings(port=port, runtime="torch", device="cpu", batch=4, threads=1)
    address = deploy(str(run.path), settings, address=cluster.address, replicas=2)
    try:
        first = httpx.get(f"{address}/info").json()
        here = run.predict([picture], top=2)[0]
        answer = httpx.post(f"{address}/predict?top=2", files={"file": ("a.png", picture)}).json()["predictions"][0]
        assert answer["classes"] == [vars(guess) for guess in here.classes]
        client = Client(address, picture)
        client.thread.start()
        deploy(str(other.path), settings, address=cluster.address, replicas=2)
        time.sleep(1)
        client.over.set()
        client.thread.join()
        second = httpx.get(f"{address}/info").json()
    finally:
        import ray

        from convlens.cluster.joining import joined

        with joined(cluster.address):
            serve.shutdown()
        assert not ray.is_initialized()
    assert len(client.codes) > 10
    assert set(client.codes) == {200}
    assert first["sha256"] != second["sha256"]


def test_replicas_need_a_cluster(run, capsys):
    assert main(["serve", str(run.path), "--replicas", "2"]) == 2
    assert "add --ray" in capsys.readouterr().err
