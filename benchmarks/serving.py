"""`convlens serve` beside a plain FastAPI handler and LitServe: requests a second, latency, and ten thousand requests.

    python benchmarks/serving.py [--quick] [--json] [--workers N] [--network lenet5|resnet18]

The three serve the same network and are sent the same image, as base64 in JSON, by the same clients, in turns, so that
they share the machine's bad moments. Each has N workers with one thread each for the network (LitServe: N processes
for HTTP and N for the network). The load comes from this machine too and takes its share of it.

ResNet-18 is also served as one would after reading the page on shipping, which the others leave to their users: on the
runtime that is fastest here, and as an artifact in bfloat16 that was proved beside the run when it was exported.
"""

import argparse
import base64
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

PEERS = Path(__file__).parent / "serving_peers"
CLIENTS = (1, 8, 64)
_SHIPPED = ("ours, fastest runtime", "ours, bfloat16 artifact")


@dataclass
class Subject:
    name: str
    command: list[str]
    port: int = 0
    pid: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="64 clients and fewer requests, about a minute")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--workers", type=int, default=0, help="2, or with --quick 1")
    parser.add_argument("--network", choices=("lenet5", "resnet18"), help="one alone; both, or with --quick lenet5")
    asked = parser.parse_args()
    asked.networks = [asked.network] if asked.network else ["lenet5"] if asked.quick else ["lenet5", "resnet18"]
    asked.workers = asked.workers or (1 if asked.quick else 2)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for network in asked.networks:
            run, image = made_run(network, Path(folder))
            rows += compared(network, run, request(image), asked.workers, asked.quick)
            if network == "lenet5":
                rows += endured(run, image, 1000 if asked.quick else 10_000)
    if asked.json:
        print(json.dumps({"rows": rows}))
        return
    for row in rows:
        peer, ratio = (f"{row[key]:10.2f}" if row[key] is not None else " " * 10 for key in ("peer", "ratio"))
        print(f"{row['what']:90} {row['ours']:10.2f} {peer} {ratio}  {row['unit']}")


def made_run(network: str, folder: Path) -> tuple[Path, bytes]:
    """A run and an image for it: LeNet-5 trained on digits, or ResNet-18 at 64 pixels, which takes a photograph."""
    import convlens
    from convlens import runs
    from convlens.data import open_dataset
    from convlens.images import Preprocessing
    from convlens.runs.environment import versions
    from convlens.runs.run_weights import save_weights

    digits = open_dataset("digits")
    if network == "lenet5":
        run = convlens.train("digits", network="lenet5", epochs=2, runs=str(folder), quiet=True)
        return run.path, encoded(digits.read(digits.splits["test"][0], channels=1)[:, :, 0], "png")
    photograph = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    smooth = Image.fromarray(photograph).resize((640, 480), Image.Resampling.BICUBIC)
    preprocessing = Preprocessing(size=(64, 64), resize=72, crop="center", mean=(0.5,) * 3, std=(0.25,) * 3)
    made = runs.create_folder(
        folder,
        network,
        runs.Description(
            name=network, created="2026-11-24T00:00:00+00:00", classes=tuple("abcdefghij"), preprocessing=preprocessing,
            network=runs.NetworkChoice(name=network, classes=10, channels=3, size=(64, 64)), config={},
            data=runs.DataSummary(source="none", fingerprint="none", splits={}), numerics={}, versions=versions(),
        ),
    )  # fmt: skip
    for which in ("best", "last"):
        save_weights(made.build_network().state_dict(), made.weights_path(which))
    return made.path, encoded(np.asarray(smooth), "jpeg")


def exported_in_bfloat16(run: Path) -> Path:
    from convlens import shipping

    return shipping.export(run, "openvino", precision="bfloat16", out=run.with_suffix(".xml")).path


def compared(network: str, run: Path, body: bytes, workers: int, quick: bool) -> list[dict[str, object]]:
    """Rows for one network: each peer beside ours with the same number of clients."""
    python = [sys.executable]
    serve = [*python, "-m", "convlens", "serve"]
    ours = [str(run), "--workers", str(workers), "--threads", "1", "--log-level", "warning", "--port", "PORT"]
    tail = [str(workers), "1"]
    litserve = [*python, str(PEERS / "litserve_peer.py"), str(run), "PORT", *tail]
    subjects = [
        Subject("ours, batches", [*serve, *ours]),
        Subject("ours, no batches", [*serve, *ours, "--batch", "1"]),
        Subject("FastAPI handler", [*python, str(PEERS / "plain.py"), str(run), "PORT", *tail]),
        Subject("LitServe, batches", [*litserve, "32"]),
        Subject("LitServe, no batches", [*litserve, "1"]),
    ]
    subjects = [subject for subject in subjects if find_spec("litserve") or "LitServe" not in subject.name]
    if quick:
        subjects = [subject for subject in subjects if "no batches" not in subject.name]
    if network == "resnet18":
        artifact = exported_in_bfloat16(run)
        subjects += [
            Subject("ours, fastest runtime", [*serve, *ours, "--runtime", "auto"]),
            Subject("ours, bfloat16 artifact", [*serve, str(artifact), *ours[1:]]),
        ]
    with ExitStack() as stack, tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        for subject in subjects:
            subject.pid = stack.enter_context(started(subject, body)).pid
        levels = (64,) if quick else CLIENTS
        return [row for clients in levels for row in level(network, subjects, clients, Path(file.name), quick)]


def level(network: str, subjects: list[Subject], clients: int, path: Path, quick: bool) -> list[dict[str, object]]:
    seen: dict[str, list[dict[str, float]]] = {subject.name: [] for subject in subjects}
    for subject in subjects:
        loaded(subject, clients, 0.5, path)
    for _ in range(3 if quick else 7):
        for subject in subjects:
            before = processor_ms(subject.pid)
            result = loaded(subject, clients, 1, path)
            result["processor_ms"] = (processor_ms(subject.pid) - before) / result["requests"]
            seen[subject.name].append(result)
    rows = []
    for key, unit, more_is_better in (
        ("requests_a_second", "requests/s", True),
        ("p50_ms", "ms p50", False),
        ("p99_ms", "ms p99", False),
        ("processor_ms", "ms of processor a request", False),
    ):
        values = {name: statistics.median(result[key] for result in results) for name, results in seen.items()}
        pairs = [("ours, batches", name) for name in values if name != "ours, batches"]
        pairs += [(name, "LitServe, batches") for name in values if name in _SHIPPED and "LitServe, batches" in values]
        for name, other in pairs:
            ours, peer = values[name], values[other]
            ratio = ours / peer if more_is_better else peer / ours
            what = f"{network}, {clients} clients, {unit}, {name} beside {other}"
            rows.append({"what": what, "ours": ours, "peer": peer, "unit": unit, "ratio": ratio})
    return rows


def loaded(subject: Subject, clients: int, seconds: float, path: Path, count: int = 0) -> dict[str, object]:
    words = ["127.0.0.1", subject.port, clients, seconds, path, *([count] if count else [])]
    command = [sys.executable, str(PEERS / "load.py"), *map(str, words)]
    result = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    if not count and set(result["codes"]) != {"200"}:
        raise SystemExit(f"{subject.name} answered {result['codes']}")
    return result


def endured(run: Path, image: bytes, count: int) -> list[dict[str, object]]:
    """Ten thousand requests, a tenth of them malformed: the codes, and the memory after two fifths and at the end."""
    good = request(image)
    nowhere = b"POST /nowhere HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n"
    bad = [request(b"no image"), request(image[:50]), nowhere]
    bad += [good.replace(b"application/json", b"text/plain"), good.replace(b'"files"', b'"fails"')]
    subject = Subject(
        "ours", [sys.executable, "-m", "convlens", "serve", str(run), "--port", "PORT", "--log-level", "error"]
    )
    with started(subject, good) as process, tempfile.NamedTemporaryFile() as file:
        file.write(b"\n=====\n".join([part for wrong in bad for part in (*[good] * 9, wrong)]))
        file.flush()
        results = [loaded(subject, 32, 0, Path(file.name), count // 5) for _ in range(2)]
        early = memory_mb(process.pid)
        results += [loaded(subject, 32, 0, Path(file.name), count // 5) for _ in range(3)]
        late = memory_mb(process.pid)
    codes = {
        code: sum(result["codes"].get(code, 0) for result in results) for result in results for code in result["codes"]
    }
    faults = sum(number for code, number in codes.items() if code.startswith("5") or code == "lost")
    print(f"{count} requests, a tenth malformed: {codes}", file=sys.stderr)
    return [
        {
            "what": f"{count} requests, a tenth malformed: 5xx or lost",
            "ours": faults,
            "peer": None,
            "unit": "",
            "ratio": None,
        },
        {
            "what": "memory after two fifths, and growth since",
            "ours": early,
            "peer": late - early,
            "unit": "MB",
            "ratio": None,
        },
    ]


@contextmanager
def started(subject: Subject, body: bytes) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server and wait until it answers; end it and what it started."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        subject.port = free.getsockname()[1]
    command = [str(subject.port) if word == "PORT" else word for word in subject.command]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        content = body.partition(b"\r\n\r\n")[2]
        asked = urllib.request.Request(
            f"http://127.0.0.1:{subject.port}/predict", content, {"content-type": "application/json"}
        )
        end = time.monotonic() + 300  # runtimes are tried first, where the fastest is wanted
        while not answers(asked):
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{subject.name} does not answer: {' '.join(command)}")
            time.sleep(0.2)
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(asked: urllib.request.Request) -> bool:
    try:
        with urllib.request.urlopen(asked, timeout=30):
            return True
    except (urllib.error.URLError, OSError):
        return False


def request(image: bytes) -> bytes:
    content = base64.b64encode(image).decode()
    body = json.dumps({"files": [{"file": "image", "content": content}]}).encode()
    head = "POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def encoded(pixels: np.ndarray, kind: str) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def processor_ms(group: int) -> float:
    """Time that the processors have given to a process group."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12]) if int(fields[2]) == group else 0
    return 1000 * ticks / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1000


if __name__ == "__main__":
    main()
