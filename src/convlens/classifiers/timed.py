"""The process in which a network is timed: it loads what it is told, then times calls whenever it is asked.

    python -m convlens.classifiers.timed

reads one JSON object a line: first what to load (the fields of `predicting.apart.Subject`), then batches and seconds;
it answers each with one line.
"""

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from convlens.classifiers.resolve import resolve
from convlens.errors import ConvlensError

if TYPE_CHECKING:
    from convlens.predicting import Predictor


def main() -> None:
    """Load, and time what is asked for until nothing more is."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is no answer
    told = json.loads(sys.stdin.readline())
    try:
        found = resolve(told["source"], weights=told["weights"], classes=told["classes"])
        predictor = found.predictor(runtime=told["runtime"], threads=told["threads"], device="cpu")
    except ConvlensError as error:
        print(json.dumps({"error": str(error)}), file=answers)
        return
    print(json.dumps({"ready": True}), file=answers)
    for line in sys.stdin:
        print(json.dumps(_timed(predictor, **json.loads(line))), file=answers)


def _timed(predictor: "Predictor", *, batch: int, seconds: float, least: int) -> dict[str, Any]:
    shape = (batch, predictor.preprocessing.channels, *predictor.preprocessing.size)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    taken: list[float] = []
    try:
        predictor.probabilities(x)
        end = time.perf_counter() + seconds
        while len(taken) < least or (time.perf_counter() < end and len(taken) < 1000):
            began = time.perf_counter()
            predictor.probabilities(x)
            taken.append(time.perf_counter() - began)
    except (RuntimeError, MemoryError) as error:
        return {"error": " ".join(str(error).split())[:200] or type(error).__name__}
    return {"seconds": taken}


if __name__ == "__main__":
    main()
