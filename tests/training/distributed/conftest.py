"""Starts scripts as several processes, as torchrun would."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def _start_together(count, *arguments, seconds=200):
    """Run `python ARGUMENTS` in so many processes, the same in each or one list for each rank.

    Returns:
        Their exit codes, standard outputs and error outputs, by rank.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sources = str(Path(__file__).parents[3] / "src")
    processes = []
    for rank in range(count):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = os.environ | {name: str(value) for name, value in place.items()}
        environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": sources}
        processes.append(
            subprocess.Popen(
                [sys.executable, *map(str, arguments[rank % len(arguments)])],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        said = [process.communicate(timeout=seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], [out for out, _ in said], [err for _, err in said]


@pytest.fixture(scope="session")
def start_together():
    """The function that starts a script as several processes."""
    return _start_together
