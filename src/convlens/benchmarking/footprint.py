"""How much memory a network needs to be loaded and run: measured in a process of its own.

    python -m convlens.benchmarking.footprint net.onnx onnxruntime 1 1 8 32

prints, for each batch in rising order, the peak above what the imports alone take, in bytes, as a JSON object.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from convlens.artifacts.artifact_predictor import open_artifact
from convlens.predicting.runtimes import require
from convlens.predicting.untracked import untracked

_STATUS = Path("/proc/self/status")


def measure_memory(path: Path, runtime: str, threads: int, batches: Sequence[int]) -> dict[int, int]:
    """Peak bytes above the imports, for each batch; empty where the system does not tell."""
    if not _STATUS.exists():
        return {}
    command = [sys.executable, "-m", "convlens.benchmarking.footprint", str(path), runtime, str(threads)]
    done = subprocess.run(
        [*command, *map(str, sorted(batches))], capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode != 0:
        return {}
    return {int(batch): peak for batch, peak in json.loads(done.stdout.splitlines()[-1]).items()}


def main(path: str, runtime: str, threads: str, *batches: str) -> None:
    """Load, run and print."""
    untracked(require(runtime).package)
    if runtime == "onnxruntime":
        untracked("onnx")
    before = _kilobytes("VmRSS")
    predictor = open_artifact(Path(path)).predictor(runtime, int(threads))
    peaks: dict[str, int] = {}
    for batch in batches:
        predictor.warm_up(int(batch), times=2)
        peaks[batch] = 1024 * max(0, _kilobytes("VmHWM") - before)
    print(json.dumps(peaks))


def _kilobytes(entry: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(entry + ":"))
    return int(line.split()[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
