"""A runtime is as fast in turns with others as it is alone, when each has a process of its own and the others stop.

Each network is exported to every runtime. Then each runtime is timed alone, and all of them in turns, and alone once
more; `convlens benchmark` and `--runtime auto` time in the second way. The ratio is that of the medians, in turns to
alone, where alone is the median of both; runtimes whose two times alone differ by more than that cannot be told.

Example: python benchmarks/alone_and_in_turns.py --quick
"""

import argparse
import json
import tempfile
from pathlib import Path

import convlens
from convlens.predicting.apart import Apart, Subject
from convlens.shipping import export

NETWORKS = ("lenet5", "resnet18")
FORMATS = {"torch": "safetensors", "onnxruntime": "onnx", "openvino": "openvino"}
SUFFIXES = {"torch": ".safetensors", "onnxruntime": ".onnx", "openvino": ".xml"}


def main() -> None:
    """Export, time alone and in turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each runtime, each time")
    parser.add_argument("--quick", action="store_true", help="lenet5 only, half a second each")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options = parser.parse_args()
    seconds = 0.5 if options.quick else options.seconds
    rows = []
    for network in NETWORKS[:1] if options.quick else NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            subjects = _subjects(network, Path(folder), options.threads)
            before = _alone(subjects, seconds)
            with Apart(subjects) as apart:
                turns = {name: timing.p50 for name, timing in apart.time(1, seconds).items()}
            after = _alone(subjects, seconds)
        for name, ours in turns.items():
            alone = (before[name] + after[name]) / 2
            rows.append({"what": f"{network} on {name}, in turns", "ours": round(ours, 3), "peer": round(alone, 3),
                         "unit": "ms, and alone", "ratio": round(ours / alone, 3)})  # fmt: skip
            if not options.json:
                print(f"{network:10} {name:12} in turns {ours:7.3f} ms, alone {before[name]:7.3f} and "
                      f"{after[name]:7.3f} ms: {ours / alone:.2f}")  # fmt: skip
    if options.json:
        print(json.dumps({"version": convlens.__version__, "rows": rows}))


def _subjects(network: str, folder: Path, threads: int) -> dict[str, Subject]:
    made = {}
    for runtime, to in FORMATS.items():
        path = folder / f"{network}{SUFFIXES[runtime]}"
        export(network, to, out=path)
        made[runtime] = Subject(source=str(path), runtime=runtime, threads=threads)
    return made


def _alone(subjects: dict[str, Subject], seconds: float) -> dict[str, float]:
    times = {}
    for name, subject in subjects.items():
        with Apart({name: subject}) as apart:
            times[name] = apart.time(1, seconds)[name].p50
    return times


if __name__ == "__main__":
    main()
