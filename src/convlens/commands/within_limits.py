"""`convlens networks --max-ms 5 --size 160`: what is within limits here, before anything is trained."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from convlens.calibrating import RUNTIME, NotCalibratedError, calibration
from convlens.calibrating.latency import Prediction, predicted
from convlens.calibrating.recorded import Recorded, recorded
from convlens.choosing.limits import Costs, Limits, impossible
from convlens.commands.bar import bar
from convlens.quantities import count, size_in_bytes
from convlens.sizes import image_size


def list_within(names: Sequence[str], limits: Mapping[str, str | None], size: str | None, *, as_json: bool) -> None:
    """Print the networks within limits with what each costs, the fastest first.

    Raises:
        NotCalibratedError: a time is limited, and this machine is not calibrated.
        ConvlensError: a limit that is not an amount, or that no network meets, with what the smallest needs.
    """
    asked = Limits.read(limits)
    where = image_size(size) if size else None
    try:
        known = calibration()
    except NotCalibratedError as error:
        if asked.max_ms is not None:
            raise
        known = None
        print(f"no times: {error}", file=sys.stderr)
    with bar("recording networks, once for this size") as progress:
        found = recorded(names, where, progress)
    taken = [one for one in found if not one.refused]
    times = {one.name: predicted(one.steps, known) for one in taken} if known else {}
    costs = {
        one.name: Costs(
            parameters=one.parameters,
            macs=one.macs,
            file_bytes=4 * one.parameters,
            memory_bytes=4 * one.parameters + one.peak_memory,
            latency_ms=times[one.name].milliseconds if times else None,
        )
        for one in taken
    }
    within = [one for one in taken if not asked.broken_by(costs[one.name])]
    if taken and not within:
        raise impossible(asked, costs)
    within.sort(key=lambda one: (times[one.name].milliseconds if times else 0, one.macs))
    refused = {one.name: one.refused for one in found if one.refused}
    if as_json:
        print(json.dumps({"within": [_as_dict(one, times) for one in within], "refused": refused}, indent=2))
        return
    _show(within, times)
    print(
        f"\n{len(within)} of {len(names)} networks, {len(refused)} of which take no such images"
        if refused
        else f"\n{len(within)} of {len(names)} networks"
    )
    if times:
        print(f"ms: predicted for one image, {RUNTIME}")
    for one in within:
        if times and times[one.name].unknown:
            print(f"{one.name}: {times[one.name].unknown_text}")


def _show(within: Sequence[Recorded], times: Mapping[str, Prediction]) -> None:
    print(f"{'network':20}{'input':>9}{'ms':>9}{'parameters':>12}{'MACs':>9}{'memory':>9}")
    for one in within:
        ms = f"{times[one.name].milliseconds:.3g}" if times else "–"
        memory = size_in_bytes(4 * one.parameters + one.peak_memory)
        size = f"{one.size[0]}×{one.size[1]}"
        print(f"{one.name:20}{size:>9}{ms:>9}{count(one.parameters):>12}{count(one.macs):>9}{memory:>9}")


def _as_dict(one: Recorded, times: Mapping[str, Prediction]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": one.name,
        "size": list(one.size),
        "parameters": one.parameters,
        "macs": one.macs,
        "memory_bytes": 4 * one.parameters + one.peak_memory,
    }
    if times:
        time = times[one.name]
        told |= {"ms": time.milliseconds, "runtime": time.runtime, "training_ms": time.training_milliseconds}
        told |= {"unknown": time.unknown, "unknown_macs": time.unknown_macs}
    return told
