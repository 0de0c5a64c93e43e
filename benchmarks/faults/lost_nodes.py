"""A node killed in the middle of a prediction, a training and a service on a Ray cluster: what was lost or came twice.

The cluster is three nodes on this machine. Of a prediction, images without an answer, images with two, and answers that
are not those of one machine are counted; of a training, epochs that are missing from its metrics or stand there twice,
and the seconds until it was at work again; of a service under requests, those that failed when a node was killed, and
when another run took its place. Also a prediction on one machine that is killed again and again and goes on.

Example: python benchmarks/faults/lost_nodes.py --quick
"""

import argparse
import json
import logging
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from changed_bytes import _run
from PIL import Image

from convlens.classifiers import resolve
from convlens.predicting.bulk import pieces, predict_to_file
from convlens.serving.server_settings import Settings

NODE = {"num_cpus": 1, "object_store_memory": 150_000_000}


def main() -> None:
    """Predict, train, kill, count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=5, help="of the prediction on one machine")
    parser.add_argument("--quick", action="store_true", help="400 images, 2 kills, no training, no service")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    asked = parser.parse_args()
    images, kills = (400, 2) if asked.quick else (asked.images, asked.kills)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    pieces._IMAGES = 20
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = _run(folder).path
        _draw(folder / "photos", images)
        predict_to_file(resolve(run).predictor(), [str(folder / "photos")], folder / "here.jsonl", asked={})
        _kill_process(run, folder, kills)
        rows += _compared(f"one machine, killed {kills} times", folder / "here.jsonl", folder / "killed.jsonl")
        if find_spec("ray"):
            with _cluster() as cluster:
                _kill_node_of_prediction(cluster, run, folder, images)
                rows += _compared("cluster, a node killed", folder / "here.jsonl", folder / "there.jsonl")
                if not asked.quick:
                    rows += _kill_node_of_training(cluster, folder)
                    rows += _kill_node_of_service(cluster, run, folder)
    if asked.json:
        print(json.dumps({"rows": rows}))
        return
    for row in rows:
        print(f"{row['what']}: {row['ours']} of {row['peer']} {row['unit']}")


def _draw(folder: Path, images: int) -> None:
    """Images of noise, and a broken one in a hundred."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number in range(images):
        path = folder / f"{number:05d}.png"
        if number % 100 == 57:
            path.write_bytes(b"broken")
        else:
            Image.fromarray(draw.integers(0, 256, (30, 40, 3), np.uint8)).save(path)


def _compared(what: str, here: Path, there: Path) -> list[dict[str, Any]]:
    """Answers of an undisturbed prediction, and of another."""
    expected = {row["file"]: row for row in _rows(here)}
    found = _rows(there)
    count = Counter(row["file"] for row in found)
    figures = {
        "images lost": len(expected.keys() - count.keys()),
        "images answered twice": sum(number > 1 for number in count.values()),
        "answers that differ": sum(row != expected[row["file"]] for row in found),
    }
    return [
        {"what": what, "ours": value, "peer": len(expected), "unit": unit, "ratio": value / len(expected)}
        for unit, value in figures.items()
    ]


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _kill_process(run: Path, folder: Path, kills: int) -> None:
    """The command itself, with SIGKILL after more pieces each time."""
    out = folder / "killed.jsonl"
    script = "import convlens.predicting.bulk.pieces as p; p._IMAGES = 20; from convlens.cli.main import run; run()"
    command = [sys.executable, "-c", script, "predict", str(run), str(folder / "photos"), "--out", str(out)]
    parts = out.with_name(f"{out.name}.parts")
    for _ in range(kills):
        before = len(list(parts.glob("0*.jsonl")))
        with subprocess.Popen([*command, "--batch", "4"], stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and len(list(parts.glob("0*.jsonl"))) < before + 2:
                time.sleep(0.005)
            process.kill()
    if not out.exists():
        subprocess.run(command, check=False, stderr=subprocess.DEVNULL)


@contextmanager
def _cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
    try:
        yield cluster
    finally:
        cluster.shutdown()


def _kill_node_of_prediction(cluster: Any, run: Path, folder: Path, images: int) -> None:
    from convlens.cluster.bulk_predictions import predict_on_ray
    from convlens.cluster.shipment import ship

    nodes = [cluster.add_node(**NODE)]

    def kill(done: int, _: int | None) -> None:
        if nodes and done > images // 4:
            cluster.remove_node(nodes.pop(), allow_graceful=False)

    shipment = ship(resolve(run), runtime=None, device="cpu")
    predict_on_ray(
        shipment, [str(folder / "photos")], str(folder / "there.jsonl"), address=cluster.address, asked={}, batch=8,
        on_progress=kill,
    )  # fmt: skip


def _kill_node_of_training(cluster: Any, folder: Path) -> list[dict[str, Any]]:
    from convlens.cluster.trainings import train_on_ray

    node, epochs = cluster.add_node(**NODE), 12
    killed: list[float] = []
    again: list[float] = []

    def say(note: str) -> None:
        if note.startswith("epoch") and killed and not again:
            again.append(time.monotonic())
        if note.startswith("epoch 2:"):
            cluster.remove_node(node, allow_graceful=False)
            killed.append(time.monotonic())

    settings = {"data": "digits", "network": "lenet5", "recipe": "scratch", "tune": False, "epochs": epochs}
    settings |= {"runs": str(folder / "runs"), "name": "job", "checkpoint_steps": 3}
    done = train_on_ray(settings, address=cluster.address, processes=2, min_processes=1, say=say)
    count = Counter(row["epoch"] for row in done.folder.metrics())
    figures = {
        "epochs lost": sum(number not in count for number in range(1, epochs + 1)),
        "epochs counted twice": sum(number > 1 for number in count.values()),
    }
    waited = round(again[0] - killed[0], 1) if again else -1.0
    return [
        *(
            {"what": "training, a node killed", "ours": value, "peer": epochs, "unit": unit, "ratio": value / epochs}
            for unit, value in figures.items()
        ),
        {
            "what": "training, from the kill to the next epoch",
            "ours": waited,
            "peer": epochs,
            "unit": "s",
            "ratio": 0.0,
        },
    ]


def _kill_node_of_service(cluster: Any, run: Path, folder: Path) -> list[dict[str, Any]]:
    from convlens.cluster.joining import joined
    from convlens.cluster.replicas import deploy

    nodes = [cluster.add_node(**NODE), cluster.add_node(**NODE)]
    other = folder / "runs" / "job"  # the training's
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings = Settings(port=free.getsockname()[1], runtime="torch", device="cpu", batch=4, threads=1)
    address = deploy(str(run), settings, address=cluster.address, replicas=2)
    rows = []
    with _asking(address, folder / "photos" / "00000.png") as codes:
        time.sleep(3)
        cluster.remove_node(nodes[0], allow_graceful=False)
        time.sleep(15)
    rows.append(_failed("service, a node killed: requests failed", codes))
    with _asking(address, folder / "photos" / "00000.png") as codes:
        deploy(str(other), settings, address=cluster.address, replicas=2)
        time.sleep(1)
    rows.append(_failed("service, another run takes its place: requests failed", codes))
    with joined(cluster.address):
        from ray import serve

        serve.shutdown()
    return rows


@contextmanager
def _asking(address: str, picture: Path) -> Iterator[list[str]]:
    """Ask without a pause from two threads; what was answered."""
    codes: list[str] = []
    over, content = threading.Event(), picture.read_bytes()

    def ask() -> None:
        with httpx.Client(timeout=60) as client:
            while not over.is_set():
                try:
                    answer = client.post(f"{address}/predict", files={"file": ("a.png", content)})
                    codes.append(str(answer.status_code))
                except httpx.HTTPError as error:
                    codes.append(type(error).__name__)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield codes
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _failed(what: str, codes: list[str]) -> dict[str, Any]:
    kinds = Counter(code for code in codes if code != "200")
    unit = " ".join(["requests", *(f"({code}: {number})" for code, number in kinds.items())])
    failed = sum(kinds.values())
    return {"what": what, "ours": failed, "peer": len(codes), "unit": unit, "ratio": failed / len(codes)}


if __name__ == "__main__":
    main()
