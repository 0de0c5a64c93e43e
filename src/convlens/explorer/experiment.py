"""An experiment that trains, run in a process of its own while the pages stay usable."""

import atexit
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

from convlens.errors import ConvlensError


class Experiment:
    """A script that prints lines of JSON: started from a page, asked how far it is, ended with the explorer.

    It trains in a process of its own, because training changes what is global to one: threads, and random numbers.

    Args:
        command: what to run; `--epochs N` is added. It prints `{"progress": 0..1}`, and last what it found.
    """

    def __init__(self, command: Sequence[str] = (sys.executable, "-m", "convlens.explorer.shifting")) -> None:
        self._command = command
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._epochs = 0
        self._progress = 0.0
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
            self._epochs, self._progress, self._found, self._error = epochs, 0.0, None, ""
            self._process = subprocess.Popen(
                [*self._command, "--epochs", str(epochs)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            atexit.register(self.stop)
            threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()

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
                return {"state": "running", "epochs": self._epochs, "progress": self._progress}
            if self._error:
                return {"state": "failed", "error": self._error}
            if self._found is not None:
                return {"state": "done", **self._found}
            return {"state": "idle"}

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None  # it is a pipe
        last: dict[str, Any] = {}
        for line in process.stdout:
            last = json.loads(line)
            self._progress = last.get("progress", self._progress)
        _, complaint = process.communicate()
        with self._lock:
            if process.returncode == 0:
                self._found = last
            else:
                said = complaint.strip().splitlines()
                self._error = said[-1] if said else f"the experiment ended with status {process.returncode}"
            self._process = None
        atexit.unregister(self.stop)
