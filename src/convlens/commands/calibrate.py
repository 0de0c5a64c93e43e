"""`convlens calibrate`: layers measured on this machine."""

import json

from convlens.calibrating import RUNTIME
from convlens.calibrating import calibrate as measure
from convlens.commands.bar import bar


def calibrate(
    *, rows: int, seconds: float, seed: int, quiet: bool, json_: bool
) -> None:  # fmt: skip
    """Measure single layers on one core of this machine, and keep what they tell in the cache."""
    with bar("calibrating", quiet or json_) as progress:
        made = measure(rows, seconds=seconds, seed=seed, on_note=lambda share: progress(round(100 * share), 100))
    if json_:
        left_out = {family: vars(each.left_out) for family, each in made.regressions.items()}
        told = {name: getattr(made, name) for name in ("processor", "versions", "layers", "between", "training")}
        print(json.dumps({**told, "runtime": RUNTIME, "roof": vars(made.roof), "left_out": left_out}, indent=2))
        return
    print(f"{made.layers:,} layers on {made.processor}: {RUNTIME}")
    print(f"at most {2 * made.roof.macs / 1e6:.0f} GFLOPS and {made.roof.nbytes / 1e6:.1f} GB/s were seen")
    print(f"{'layers':12}{'left out':>9}{'median error':>15}{'90th percentile':>18}")
    for family, each in sorted(made.regressions.items()):
        left = each.left_out
        print(f"{family:12}{left.layers:9}{left.median:15.0%}{left.p90:18.0%}")
