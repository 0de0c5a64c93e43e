"""One byte changed in every kind of file that convlens writes and loads again: how often that is noticed.

A run with initial weights is exported to every format; then one byte at a time is changed, at drawn places and at the
borders of each file, in artifacts, in weights of runs and in checkpoints, and the file is loaded. Noticed means one
line that names the file; a traceback or an answer is not.

Example: python benchmarks/faults/changed_bytes.py --quick
"""

import argparse
import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

import convlens
from convlens import networks, runs
from convlens.artifacts import FORMATS
from convlens.errors import ConvlensError
from convlens.runs.environment import versions
from convlens.runs.run_weights import save_weights
from convlens.training.state import State, load_checkpoint, save_checkpoint


def main() -> None:
    """Change, load, count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=300, help="bytes changed in each file")
    parser.add_argument("--quick", action="store_true", help="25 bytes in each file")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for what, file, load in _files(Path(folder)):
            noticed, changed = _change(file, load, 25 if options.quick else options.changes)
            rows.append({"what": what, "ours": noticed, "peer": changed, "unit": "changes noticed of changes made",
                         "ratio": noticed / changed})  # fmt: skip
            if not options.json:
                print(f"{what:38} {noticed:4} of {changed:4} changed bytes noticed")
    if options.json:
        print(json.dumps({"rows": rows}))


def _files(folder: Path) -> list[tuple[str, Path, Callable[[], object]]]:
    """What is changed, and how it is loaded."""
    run = _run(folder)
    found: list[tuple[str, Path, Callable[[], object]]] = []
    for row in FORMATS.values():
        written = convlens.open_run(run.path).export(row.name, out=folder / f"net-{row.name}{row.suffixes[0]}")
        found += [(f"artifact {row.name} ({file.suffix})", file, lambda path=written.path: convlens.load(path))
                  for file in written.files]  # fmt: skip
    for which in ("best", "last"):
        found.append(
            (f"weights of a run ({which})", run.weights_path(which), lambda which=which: run.load_network(which))
        )
    parts = {"network": run.build_network()}
    save_checkpoint(run.checkpoint_path, State(), {name: part.state_dict() for name, part in parts.items()})
    load = lambda: load_checkpoint(run.checkpoint_path, parts, torch.device("cpu"))  # noqa: E731
    return [*found, ("checkpoint of a training", run.checkpoint_path, load)]


def _run(folder: Path) -> runs.RunFolder:
    card = networks.card("lenet5")
    described = runs.Description(
        name="net", created="2026-01-01T00:00:00+00:00",
        network=runs.NetworkChoice(name="lenet5", classes=card.classes, channels=1, size=card.input_size),
        classes=tuple(f"class {i}" for i in range(card.classes)), preprocessing=card.preprocessing, config={},
        data=runs.DataSummary(source="none", fingerprint="none", splits={}), numerics={}, versions=versions(),
    )  # fmt: skip
    made = runs.create_folder(folder, "net", described)
    torch.manual_seed(0)
    for which in ("best", "last"):
        save_weights(made.build_network().state_dict(), made.weights_path(which))
    return made


def _change(file: Path, load: Callable[[], object], count: int) -> tuple[int, int]:
    whole = file.read_bytes()
    load()
    chance = random.Random(len(whole))
    places = sorted({0, 8, len(whole) // 2, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(count))})
    noticed = 0
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << chance.randrange(8)
        file.write_bytes(changed)
        try:
            load()
        except ConvlensError as error:
            noticed += file.stem in str(error) and "\n" not in str(error)
        except Exception as error:  # a traceback for the user: not noticed in our sense
            print(f"{file.name}, byte {place}: {type(error).__name__}: {error}")
    file.write_bytes(whole)
    return noticed, len(places)


if __name__ == "__main__":
    main()
