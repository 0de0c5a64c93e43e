"""Starts groups of processes as torchrun would, forked from one that has imported what takes seconds.

usage: forked.py FOLDER; leaves there what each group leaves, and what each of its processes said.
"""

import faulthandler
import gc
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

import killed_together
import piped
import stopped_together
import trained_together

import convlens.training.distributed.pipelined
import convlens.training.distributed.sharded
import convlens.training.run_report  # noqa: F401 - all for the processes to come
from convlens.data import open_dataset

GROUPS = {
    "trained": (2, trained_together.main),
    "piped2": (2, piped.main),
    "piped4": (4, piped.main),
    "stopped": (2, stopped_together.main),
    "killed": (2, killed_together.main),
}


def be_one_of(name, count, rank, port, folder, work):
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {key: str(value) for key, value in place.items()}
    os.environ["CONVLENS_CACHE"] = str(folder / "cache" / name)
    for stream, file in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / f"{name}-{rank}.{file}", os.O_WRONLY | os.O_CREAT), stream)
    code = 1
    faulthandler.dump_traceback_later(100, exit=True)  # where it waits
    try:
        work(folder)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def start(name, count, work, folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = {}
    for rank in range(count):
        process = os.fork()
        if process == 0:
            be_one_of(name, count, rank, port, folder, work)
        processes[process] = rank
    while processes:
        process, status = os.wait()
        code = os.waitstatus_to_exitcode(status)
        (folder / f"{name}-{processes.pop(process)}.code").write_text(str(code))
        if code < 0:  # torchrun ends the others when one is lost
            time.sleep(0.1)
            for other in processes:
                os.kill(other, signal.SIGTERM)


if __name__ == "__main__":
    open_dataset("digits")
    gc.collect()
    gc.freeze()  # what is imported need not be looked through again
    for name, (count, work) in GROUPS.items():
        start(name, count, work, Path(sys.argv[1]))
