"""Timing networks apart: each in a process of its own, the processes in turns, those that wait stopped.

In one process, runtimes disturb each other: the threads of each wait spinning for a while after a call, and take the
processors from the next. A stopped process has no thread that runs.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np

from convlens.errors import ConvlensError
from convlens.predicting.measuring import Timing, timing_of

_TURNS = 6
_LEAST_CALLS = 3
_SETTLING_SECONDS = 0.3  # where a process cannot be stopped: longer than any runtime's threads wait spinning


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is timed: what `classifiers.resolve` takes, on a runtime.

    Args:
        source: a run, an artifact, or the name of a network.
        runtime: that computes.
        threads: that one call may use.
        weights: for the name of a network.
        classes: the class names, for a file of weights.
    """

    source: str
    runtime: str
    threads: int
    weights: str | None = None
    classes: tuple[str, ...] | None = None


class Apart:
    """Processes, one a subject, for as long as the `with` block lasts.

    Args:
        subjects: name -> what is timed.

    Attributes:
        refused: name -> why it cannot be run.
    """

    def __init__(self, subjects: Mapping[str, Subject]) -> None:
        self.refused: dict[str, str] = {}
        self._processes = {name: _Process(subject) for name, subject in subjects.items()}
        for name, process in list(self._processes.items()):
            try:
                process.wait_until_ready()
            except ConvlensError as error:
                self.refused[name] = str(error)
                self._processes.pop(name).close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            process.close()

    def time(self, batch: int, seconds: float) -> dict[str, Timing]:
        """Time calls of all subjects in turns, each turn of the others' length.

        Args:
            batch: images a call.
            seconds: for each subject, in all its turns.

        Returns:
            name -> its timing. The first call of each turn, after which the caches are its own, is not counted.
        """
        names = list(self._processes)
        taken: dict[str, list[float]] = {name: [] for name in names}
        for turn in range(_TURNS):
            first = turn % len(names) if names else 0
            for name in (*names[first:], *names[:first]):
                taken[name] += self._processes[name].turn(batch, seconds / _TURNS)
        return {name: timing_of(np.array(values)) for name, values in taken.items()}


class _Process:
    """A network in a process that runs only when it is asked."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._process = subprocess.Popen(
            [sys.executable, "-m", "convlens.classifiers.timed"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._send(vars(subject))

    def wait_until_ready(self) -> None:
        """Wait until the network is loaded, then stop the process."""
        answer = self._receive()
        self._sleep()
        if "error" in answer:
            raise ConvlensError(answer["error"])

    def turn(self, batch: int, seconds: float) -> list[float]:
        """Seconds of each call in a turn."""
        self._signal("SIGCONT")
        self._send({"batch": batch, "seconds": seconds, "least": _LEAST_CALLS})
        answer = self._receive()
        self._sleep()
        if "error" in answer:
            raise ConvlensError(f"{self._subject.source} on {self._subject.runtime}: {answer['error']}")
        return [float(value) for value in answer["seconds"]]

    def close(self) -> None:
        """End the process."""
        self._process.kill()  # a stopped one, too
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def _send(self, content: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(content) + "\n")
            self._process.stdin.flush()
        except OSError:
            return  # it has ended; what it answers, nothing, says so

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            return {"error": f"the process that ran it ended (exit code {self._process.wait()})"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _sleep(self) -> None:
        if not self._signal("SIGSTOP"):
            time.sleep(_SETTLING_SECONDS)

    def _signal(self, name: str) -> bool:
        number = getattr(signal, name, None)
        if number is None or self._process.poll() is not None:
            return False
        os.kill(self._process.pid, number)
        return True
