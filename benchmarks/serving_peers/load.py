"""Clients that ask as fast as they are answered, each on one connection; prints what they saw as JSON.

    python load.py HOST PORT CLIENTS SECONDS REQUEST_FILE [COUNT]

REQUEST_FILE holds whole HTTP requests, one after the other, separated by the line `=====`; clients take them in turn.
With COUNT, as many requests are sent, however long that takes.
"""

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from pathlib import Path

SEPARATOR = b"\n=====\n"


class Tally:
    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.codes: Counter[str] = Counter()


async def client(host, port, requests, goes_on, tally) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    while goes_on():
        began = time.perf_counter()
        try:
            writer.write(next(requests))
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
            await reader.readexactly(int(fields[b"content-length"]))
            tally.codes[head[9:12].decode()] += 1
        except (OSError, asyncio.IncompleteReadError):
            tally.codes["lost"] += 1
            fields = {b"connection": b"close"}
        tally.seconds.append(time.perf_counter() - began)
        if fields.get(b"connection") == b"close":
            writer.close()
            reader, writer = await asyncio.open_connection(host, port)
    writer.close()


async def load(host, port, clients, seconds, requests, count) -> dict[str, object]:
    tally = Tally()
    began = time.perf_counter()
    end = began + seconds
    left = itertools.count(count, -1) if count else None

    def goes_on() -> bool:
        return next(left) > 0 if left else time.perf_counter() < end

    await asyncio.gather(*(client(host, port, requests, goes_on, tally) for _ in range(clients)))
    took = time.perf_counter() - began
    ordered = sorted(tally.seconds)
    return {
        "requests": len(ordered),
        "requests_a_second": len(ordered) / took,
        "p50_ms": 1000 * ordered[len(ordered) // 2],
        "p99_ms": 1000 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
        "codes": tally.codes,
    }


def main() -> None:
    host, port, clients, seconds, path, *count = sys.argv[1:]
    requests = itertools.cycle(Path(path).read_bytes().split(SEPARATOR))
    work = load(host, int(port), int(clients), float(seconds), requests, int(count[0]) if count else 0)
    try:
        import uvloop

        result = uvloop.run(work)
    except ImportError:
        result = asyncio.run(work)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
