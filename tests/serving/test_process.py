"""The command itself, in processes of its own: how it starts, stops and is watched."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import torch

from convlens import runs
from convlens.cli.main import main
from convlens.runs.run_weights import save_weights

from .conftest import field, png, wait_until


class Served:
    def __init__(self, process, url, log):
        self.process = process
        self.url = url
        self.log = log

    def events(self):
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [json.loads(line) for line in lines]

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(30)


@contextlib.contextmanager
def served(run, *options):
    log = run.parent / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "convlens", "serve", str(run), "--port", "0", *options],
            stderr=errors,
            stdout=subprocess.PIPE,
        )
    try:
        wait_until(lambda: "http://" in log.read_text() or process.poll() is not None, 120)
        url = re.search(r"http://\S+", log.read_text()).group()
        wait_until(lambda: httpx.get(f"{url}/ready", timeout=100).status_code == 200, 120)
        yield Served(process, url, log)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()


class Hammer:
    """Clients that ask until nobody listens any more; half of them on new connections, half on one that they keep."""

    def __init__(self, url, clients):
        self.url = url
        self.answered = 0
        self.lost = []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._ask, args=(number % 2 == 0,)) for number in range(clients)]
        for thread in self.threads:
            thread.start()

    def _ask(self, keep):
        client = httpx.Client(base_url=self.url, timeout=30)
        while True:
            try:
                reply = client.post("/predict", files=field(png(1)))
            except httpx.ConnectError:
                break  # refused: this one was never accepted
            except httpx.HTTPError as error:
                self.lost.append(repr(error))
                break
            with self.lock:
                self.answered += reply.status_code == 200
            if reply.status_code != 200:
                self.lost.append(reply.status_code)
            if not keep:
                client.close()
                client = httpx.Client(base_url=self.url, timeout=30)
        client.close()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_no_accepted_request_is_lost_when_it_is_stopped(run, workers):
    with served(run, "--workers", str(workers), "--log-level", "warning") as server:
        hammer = Hammer(server.url, 6)
        wait_until(lambda: hammer.answered > 100)
        assert server.stop() == 0
        for thread in hammer.threads:
            thread.join(30)
    assert hammer.lost == []


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_the_counts_are_those_of_all(run):
    with served(run, "--workers", "2") as server:
        for _ in range(20):
            assert httpx.post(f"{server.url}/predict", files=field(png(1)), timeout=30).status_code == 200
        metrics = httpx.get(f"{server.url}/metrics").text
        assert 'convlens_requests_total{code="200",path="/predict"} 20.0' in metrics
        os.kill(_ready(server)[0], signal.SIGKILL)
        wait_until(lambda: len(_ready(server)) == 3, 120)
        assert httpx.post(f"{server.url}/predict", files=field(png(1)), timeout=30).status_code == 200
        assert server.stop() == 0


def _ready(server):
    return [event["pid"] for event in server.events() if event["event"] == "ready"]


@pytest.mark.slow
def test_the_answers_are_those_of_the_predict_command(run, tmp_path, capsys):
    images = [png(seed) for seed in range(12)]
    paths = [tmp_path / f"{number}.png" for number in range(12)]
    for path, content in zip(paths, images, strict=True):
        path.write_bytes(content)
    assert main(["predict", str(run), *map(str, paths), "--json", "--quiet"]) == 0
    offline = json.loads(capsys.readouterr().out)["predictions"]
    with served(run, "--threads", "1") as server, ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda image: httpx.post(f"{server.url}/predict", files=field(image)).json(), images))
        httpx.post(f"{server.url}/predict", files=field(png(1)), headers={"x-request-id": "look-for-me"})
        assert server.stop(signal.SIGINT) == 0
    assert [reply["predictions"][0]["classes"] for reply in replies] == [row["classes"] for row in offline]
    line = next(event for event in server.events() if event.get("request_id") == "look-for-me")
    assert (line["method"], line["path"], line["code"], line["images"]) == ("POST", "/predict", 200, 1)
    assert server.events()[-1]["event"] == "stopped"


def _about(server):
    """What /info says on new connections, which the kernel deals out to all workers."""
    return {httpx.get(f"{server.url}/info").json()["sha256"] for _ in range(30)}


def _train_anew(run):
    folder = runs.open_folder(run)
    torch.manual_seed(8)
    for which in ("best", "last"):
        save_weights(folder.build_network().state_dict(), folder.weights_path(which))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_all_workers_serve_one_network_until_they_are_told_to_load_anew(run, workers):
    with served(run, "--workers", str(workers), "--batch", "4") as server:
        before = _about(server)
        assert len(before) == 1
        _train_anew(run)
        if workers > 1:
            os.kill(_ready(server)[0], signal.SIGKILL)
            wait_until(lambda: len(_ready(server)) == 3, 120)
        assert _about(server) == before
        hammer = Hammer(server.url, 4)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not _about(server) & before, 120)
        assert len(_about(server)) == 1
        (run / "run.yaml").write_text("format: [")
        after = _about(server)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: any(event["event"] == "reload failed" for event in server.events()), 60)
        assert _about(server) == after
        assert server.stop() == 0
        for thread in hammer.threads:
            thread.join(30)
    assert hammer.lost == []
