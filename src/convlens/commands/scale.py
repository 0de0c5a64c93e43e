"""`convlens scale`: compound scaling of any base to a budget, on one's own images."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from convlens import networks
from convlens.calibrating import calibration, predicted_latency
from convlens.choosing.compound import (
    Coefficients,
    Fitted,
    Trainings,
    Tried,
    compare_dimensions,
    fit_budget,
    read_base,
    search,
)
from convlens.choosing.limits import read_amount
from convlens.choosing.scaling_figure import check_scaling_figure, draw_scaling
from convlens.data import open_dataset
from convlens.errors import ConvlensError
from convlens.networks.scaled import counted
from convlens.quantities import count


def scale(
    data: str, *, base: str, max_ms: str | None, max_macs: str | None, alpha: float | None, beta: float | None,
    gamma: float | None, size: int | None, epochs: int, seed: int, runs: Path, figure: Path | None, quiet: bool,
    json_: bool
) -> None:  # fmt: skip
    """Scale a network in depth, width and resolution together, until it meets a budget."""
    if figure is not None:
        check_scaling_figure(figure)
    limit, what = _limit(max_ms, max_macs)
    given = _given(alpha, beta, gamma)
    start = read_base(base, size)
    dataset = open_dataset(data)
    cost = _cost(what, len(dataset.classes), dataset.channels)
    trainings = Trainings(data=data, epochs=epochs, seed=seed, folder=runs / Path(data).name)
    note = (lambda _: None) if quiet or json_ else _note
    tried = [] if given else search(start, trainings, note)
    chosen = given or tried[0].coefficients
    assert chosen is not None
    fitted = fit_budget(start, chosen, limit, cost)
    lines = compare_dimensions(start, chosen, trainings, note) if figure else {}
    if figure:
        draw_scaling(lines, figure, data)
    if json_:
        print(json.dumps(_as_dict(chosen, fitted, what, limit, tried, lines), indent=2, ensure_ascii=False))
        return
    print(f"coefficients  α {chosen.alpha:g}, β {chosen.beta:g}, γ {chosen.gamma:g}; α·β²·γ² = {chosen.doubles:.2f}")
    print(f"network       {fitted.name} (φ = {fitted.phi:.2f})")
    print(
        f"cost          {_written(what, fitted.cost)} of {_written(what, limit)}: {fitted.gap:.1%} are left by rounding"
    )
    if figure:
        print(f"figure        {figure}")
    print(f"next          convlens train {data} --network {fitted.name}")


def _limit(max_ms: str | None, max_macs: str | None) -> tuple[float, str]:
    given = {"ms": max_ms, "MACs": max_macs}
    found = {what: value for what, value in given.items() if value is not None}
    if len(found) != 1:
        raise ConvlensError("give one budget: --max-macs 300M, or --max-ms 8")
    [(what, value)] = found.items()
    return read_amount(f"--max-{what.lower()}", value), what


def _given(alpha: float | None, beta: float | None, gamma: float | None) -> Coefficients | None:
    if alpha is None and beta is None and gamma is None:
        return None
    if alpha is None or beta is None or gamma is None:
        raise ConvlensError("give all of --alpha, --beta and --gamma, or none of them to find them on the images")
    return Coefficients(alpha=alpha, beta=beta, gamma=gamma)


def _cost(what: str, classes: int, channels: int) -> Callable[[str], float]:
    """Of a network with these classes and channels, by its name."""
    if what == "MACs":
        return lambda name: counted(name, classes, channels)[1]

    known = calibration()

    def milliseconds(name: str) -> float:
        with networks.outlined():
            network = networks.create(name, classes=classes, channels=channels).eval()
        return predicted_latency(network, (channels, *networks.card(name).input_size), using=known).milliseconds

    return milliseconds


def _note(tried: Tried) -> None:
    told = tried.coefficients
    by = f"α {told.alpha:g}, β {told.beta:g}, γ {told.gamma:g}" if told else "the base"
    print(f"{by:26}  {tried.name:28}  {tried.macs / 1e6:8.1f} M MACs  {tried.top1:.1%}", file=sys.stderr)


def _written(what: str, value: float) -> str:
    return f"{count(round(value))} MACs" if what == "MACs" else f"{value:.3g} ms (PyTorch, one core, float32)"


def _as_dict(
    chosen: Coefficients,
    fitted: Fitted,
    what: str,
    limit: float,
    tried: Sequence[Tried],
    lines: Mapping[str, Sequence[Tried]],
) -> dict[str, object]:
    def one(each: Tried) -> dict[str, object]:
        by = vars(each.coefficients) if each.coefficients else None
        return {"coefficients": by, "name": each.name, "macs": each.macs, "top1": each.top1}

    return {
        "coefficients": vars(chosen),
        "network": fitted.name,
        "phi": fitted.phi,
        "cost": fitted.cost,
        "budget": limit,
        "unit": what,
        "gap": fitted.gap,
        "tried": [one(each) for each in tried],
        "dimensions": {name: [one(each) for each in line] for name, line in lines.items()},
    }
