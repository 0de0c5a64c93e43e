"""The demo, run in a process of its own while the pages stay usable."""

import atexit
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convlens.errors import ConvlensError

NETWORKS = 2


class Experiment:
    """`convlens demo`, once at a time: started from a page, asked how far it is, ended with the explorer.

    It trains in a process of its own, because training changes what is global to one: threads, and deterministic
    algorithms.
    """

    def __init__(self, convlens: Sequence[str] = (sys.executable, "-m", "convlens")) -> None:
        self._convlens = convlens
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._epochs = 0
        self._found: dict[str, Any] | None = None
        self._error = ""

    def start(self, epochs: int) -> None:
        """Begin, unless it runs already.

        Raises:
            ConvlensError: it is running.
        """
        with self._lock:
            if self._process is not None:
                raise ConvlensError(f"the experiment is running already, for {self._epochs} epochs; wait for it to end")
            self._epochs, self._found, self._error = epochs, None, ""
            self._folder = tempfile.TemporaryDirectory(prefix="convlens-experiment-")
            options = ["demo", "--json", "--epochs", str(epochs), "--runs", self._folder.name]
            self._process = subprocess.Popen(
                [*self._convlens, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            atexit.register(self.stop)
            threading.Thread(target=self._wait, args=(self._process, self._folder), daemon=True).start()

    def stop(self) -> None:
        """End it if it runs."""
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            process.wait(10)

    def state(self) -> dict[str, Any]:
        """Say whether it is idle, running (and how far, 0 to 1), failed or done, and what it found."""
        with self._lock:
            if self._process is not None:
                return {"state": "running", "epochs": self._epochs, "progress": self._progress()}
            if self._error:
                return {"state": "failed", "error": self._error}
            if self._found is not None:
                return {"state": "done", "epochs": self._epochs, "networks": self._found["networks"]}
            return {"state": "idle"}

    def _progress(self) -> float:
        """Epochs that are done, as the runs' own metrics say."""
        assert self._folder is not None  # there is one while the process runs
        done = sum(file.read_bytes().count(b"\n") for file in Path(self._folder.name).glob("*/metrics.jsonl"))
        return min(done / (NETWORKS * self._epochs), 1)

    def _wait(self, process: "subprocess.Popen[str]", folder: "tempfile.TemporaryDirectory[str]") -> None:
        output, complaint = process.communicate()
        with self._lock:
            if process.returncode == 0:
                self._found = json.loads(output)
            else:
                said = complaint.strip().splitlines()
                self._error = said[-1] if said else f"the experiment ended with status {process.returncode}"
            self._process = self._folder = None
        folder.cleanup()
        atexit.unregister(self.stop)
