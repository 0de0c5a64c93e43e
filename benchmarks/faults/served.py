"""A server among strangers: requests that are none, /health meanwhile, and what is lost when it is stopped.

A run with initial weights is served by the command itself, in a process of its own, on this machine only.

- malformed requests: valid ones whose bytes were changed, cut or repeated, drawn from a seed; none may get a 5xx, and
  none may see its connection closed without an answer; of a body that was promised and does not come, the rest is
  waited for;
- attacks: 31 MB of tiny parts, of small arrays and of digits, a header and an address without end;
- the longest answer of /health while these last, asked again and again;
- stops: while clients ask on new connections as fast as they can, the server gets SIGTERM; a request is lost if its
  connection was made and no answer came. A connection that is refused was never made.

Example: python benchmarks/faults/served.py --quick
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from changed_bytes import _run
from PIL import Image

MEGABYTES = 31_000_000
CLOSED, WAITED_FOR = 0, 1  # instead of a status


def main() -> None:
    """Serve, attack, stop and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=400, help="malformed requests")
    parser.add_argument("--stops", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="60 malformed requests and 2 stops")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options = parser.parse_args()
    requests, stops = (60, 2) if options.quick else (options.requests, options.stops)
    with tempfile.TemporaryDirectory() as folder:
        run = _run(Path(folder)).path
        with served(run) as (address, _):
            codes, slowest = attack(address, requests)
        asked, lost = 0, 0
        for number in range(stops):
            with served(run, "--workers", str(1 + number % 2)) as (address, process):
                more, lacking = stop_under_load(address, process)
            asked, lost = asked + more, lost + lacking
    rows = [
        {"what": "malformed requests with a 5xx", "ours": sum(n for code, n in codes.items() if code >= 500),
         "peer": sum(codes.values()), "unit": "of requests", "ratio": 0.0},
        {"what": "closed without an answer", "ours": codes[CLOSED], "peer": sum(codes.values()), "unit": "of requests",
         "ratio": 0.0},
        {"what": "longest /health meanwhile", "ours": round(slowest * 1000, 1), "peer": 100, "unit": "ms, of at most",
         "ratio": slowest * 10},
        {"what": f"requests lost in {stops} stops", "ours": lost, "peer": asked, "unit": "of requests",
         "ratio": lost / asked},
    ]  # fmt: skip
    if options.json:
        print(json.dumps({"rows": rows}))
        return
    for row in rows:
        print(f"{row['what']:32} {row['ours']} {row['unit']} {row['peer']}")
    named = {WAITED_FOR: "rest waited for", CLOSED: "none"}
    answers = ", ".join(f"{named.get(code, code)}: {count}" for code, count in sorted(codes.items()))
    print(f"{'answers to malformed requests':32} {answers}")


@contextlib.contextmanager
def served(run: Path, *options: str) -> Iterator[tuple[tuple[str, int], "subprocess.Popen[bytes]"]]:
    """Serve a run in a process, and give its address once it is ready."""
    log = run.parent / "log"
    with log.open("w") as errors:
        words = ["serve", str(run), "--port", "0", "--log-level", "warning", "--batch", "4", *options]
        process = subprocess.Popen([sys.executable, "-m", "convlens", *words], stderr=errors)
    try:
        while not (found := re.search(r"http://([\d.]+):(\d+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        address = found[1], int(found[2])
        while not ask(address, b"GET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").startswith(
            b"HTTP/1.1 200"
        ):
            time.sleep(0.05)
        yield address, process
    finally:
        process.terminate()
        process.wait(60)


def ask(address: tuple[str, int], *pieces: bytes) -> bytes:
    """Send bytes, and give what comes until the connection is closed."""
    answer = b""
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=30) as connection:
        with contextlib.suppress(OSError):
            for piece in pieces:
                connection.sendall(piece)
        while piece := connection.recv(65_536):
            answer += piece
    return answer


def valid(chance: random.Random) -> bytes:
    """A request for one to three images, as multipart, JSON or an image."""
    import base64

    images = []
    for _ in range(chance.randint(1, 3)):
        file = BytesIO()
        pixels = np.frombuffer(chance.randbytes(256), np.uint8).reshape(16, 16)
        Image.fromarray(pixels).save(file, "png")
        images.append(file.getvalue())
    kind = chance.choice(("multipart/form-data; boundary=abc", "application/json", "image/png"))
    if kind == "image/png":
        body = images[0]
    elif kind == "application/json":
        body = json.dumps({"files": [{"content": base64.b64encode(image).decode()} for image in images]}).encode()
    else:
        parts = (b'--abc\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + image + b"\r\n" for image in images)
        body = b"".join(parts) + b"--abc--\r\n"
    return request(kind, body)


def request(kind: str, body: bytes, close: bool = True) -> bytes:
    """A request to /predict."""
    head = f"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + (b"connection: close\r\n" if close else b"") + b"\r\n" + body


def spoilt(whole: bytes, chance: random.Random) -> bytes:
    """A request in which something was changed, cut or repeated."""
    content = bytearray(whole)
    for _ in range(chance.choice((1, 3, 20))):
        place = chance.randrange(len(content))
        match chance.randrange(4):
            case 0:
                content[place] = chance.randrange(256)
            case 1:
                del content[place : place + chance.randint(1, 40)]
            case 2:
                content[place:place] = chance.randbytes(chance.randint(1, 40))
            case 3:
                content[place:place] = content[place : place + 60]
        content = content or bytearray(b"x")
    return bytes(content)


def attack(address: tuple[str, int], count: int) -> tuple[Counter[int], float]:
    """Send malformed requests and attacks; give the codes of the answers and the slowest /health in seconds."""
    codes = Counter[int]()
    forked = multiprocessing.get_context("fork")
    done, slowest = forked.Event(), forked.Value("d", 0.0)
    watcher = forked.Process(target=_watch, args=(address, done, slowest))
    watcher.start()
    chance = random.Random(1)
    part = b'--abc\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
    attacks = [
        request("multipart/form-data; boundary=abc", part * (MEGABYTES // len(part))),
        request("application/json", b"[" + b"[]," * (MEGABYTES // 3) + b"[]]"),
        request("application/json", b"1" * MEGABYTES),
        b"GET /health HTTP/1.1\r\na: " + b"a" * (4 * MEGABYTES),
        b"GET /" + b"a" * MEGABYTES,
    ]
    for content in (*attacks, *(spoilt(valid(chance), chance) for _ in range(count))):
        codes[_ask_once(address, content)] += 1
    done.set()
    watcher.join()
    return codes, slowest.value


def _watch(address: tuple[str, int], done: Any, slowest: Any) -> None:
    """Ask for /health, from a process of its own: a thread would wait for the attacks to be put together, too."""
    while not done.is_set():
        began = time.perf_counter()
        ask(address, b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        slowest.value = max(slowest.value, time.perf_counter() - began)
        time.sleep(0.002)


def _ask_once(address: tuple[str, int], content: bytes) -> int:
    """Send bytes and wait a second for more to come; the status of the answer, `CLOSED` or `WAITED_FOR`."""
    answer, status = b"", CLOSED
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=1) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(content)
        try:
            while piece := connection.recv(65_536):
                answer += piece
        except TimeoutError:
            status = WAITED_FOR
    known = answer[:9] == b"HTTP/1.1 " and answer[9:12].isdigit()
    return int(answer[9:12]) if known else status


def stop_under_load(address: tuple[str, int], process: "subprocess.Popen[bytes]") -> tuple[int, int]:
    """Stop a server while eight clients ask; give how many requests were sent and how many got no answer."""
    whole = valid(random.Random(2))
    asked, lost = Counter[str](), Counter[str]()
    refused = threading.Event()

    def client() -> None:
        while not refused.is_set():
            try:
                connection = socket.create_connection(address, timeout=30)
            except OSError:
                refused.set()
                return
            with connection:
                asked["requests"] += 1
                try:
                    connection.sendall(whole)
                    if not connection.recv(65_536).startswith(b"HTTP/1.1 200"):
                        lost["requests"] += 1
                except OSError:
                    lost["requests"] += 1

    clients = [threading.Thread(target=client) for _ in range(8)]
    for thread in clients:
        thread.start()
    time.sleep(1.0)
    os.kill(process.pid, signal.SIGTERM)
    for thread in clients:
        thread.join(60)
    return asked["requests"], lost["requests"]


if __name__ == "__main__":
    main()
