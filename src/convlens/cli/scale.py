"""`convlens scale`: compound scaling of any base to a budget, on one's own images."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from convlens.errors import ConvlensError

if TYPE_CHECKING:
    from convlens.choosing.compound import Coefficients, Fitted, Tried


def scale(
    data: str,
    *,
    base: str = "efficientnet_b0",
    max_ms: str | None = None,
    max_macs: str | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    gamma: float | None = None,
    size: int | None = None,
    epochs: int = 5,
    seed: int = 0,
    runs: Path = Path("runs/scale"),
    figure: Path | None = None,
    quiet: bool = False,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Scale a network in depth, width and resolution together, until it meets a budget.

    How much of each is found on your images: the base is trained a few epochs at twice its cost in ten ways; or it is
    given by --alpha, --beta and --gamma. The result is a network by its coefficients, such as efficientnet@1.2,1.1,260,
    which every command takes.

    Example: convlens scale photos/ --base efficientnet_b0 --max-macs 300M

    Args:
        data: Images to train on: a folder with one folder per class, a table, shards, an address, or digits.
        base: Network to scale: efficientnet_b0, mobilenet_v2, resnet18 to resnet152, or one that is scaled itself, such
            as resnet@0.5,0.25,16.
        max_ms: The longest time for one image in milliseconds, predicted (see convlens calibrate).
        max_macs: The most multiply-adds for one image, such as 300M.
        alpha: Growth of the depth while the cost doubles. Default: found on the images.
        beta: Growth of the width while the cost doubles. Default: found on the images.
        gamma: Growth of the resolution while the cost doubles. Default: found on the images.
        size: Side of the base's images in pixels. Default: its own.
        epochs: Of each short training.
        seed: Of each short training.
        runs: Folder for the short trainings; those that are there are not repeated.
        figure: Also scale in one dimension at a time, and draw accuracy against cost here (.png, .svg, .pdf).
        quiet: Say nothing while it trains.
        json_: Print the result as JSON and nothing else.
    """
    from convlens.choosing.compound import Trainings, compare_dimensions, fit_budget, read_base, search
    from convlens.choosing.scaling_figure import check_scaling_figure, draw_scaling
    from convlens.data import open_dataset

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
    from convlens.choosing.limits import read_amount

    given = {"ms": max_ms, "MACs": max_macs}
    found = {what: value for what, value in given.items() if value is not None}
    if len(found) != 1:
        raise ConvlensError("give one budget: --max-macs 300M, or --max-ms 8")
    [(what, value)] = found.items()
    return read_amount(f"--max-{what.lower()}", value), what


def _given(alpha: float | None, beta: float | None, gamma: float | None) -> "Coefficients | None":
    from convlens.choosing.compound import Coefficients

    if alpha is None and beta is None and gamma is None:
        return None
    if alpha is None or beta is None or gamma is None:
        raise ConvlensError("give all of --alpha, --beta and --gamma, or none of them to find them on the images")
    return Coefficients(alpha=alpha, beta=beta, gamma=gamma)


def _cost(what: str, classes: int, channels: int) -> Callable[[str], float]:
    """Of a network with these classes and channels, by its name."""
    if what == "MACs":
        from convlens.networks.scaled import counted

        return lambda name: counted(name, classes, channels)[1]
    import torch

    from convlens import networks
    from convlens.calibrating import calibration, predicted_latency

    known = calibration()

    def milliseconds(name: str) -> float:
        with torch.device("meta"):
            network = networks.create(name, classes=classes, channels=channels).eval()
        return predicted_latency(network, (channels, *networks.card(name).input_size), using=known).milliseconds

    return milliseconds


def _note(tried: "Tried") -> None:
    told = tried.coefficients
    by = f"α {told.alpha:g}, β {told.beta:g}, γ {told.gamma:g}" if told else "the base"
    print(f"{by:26}  {tried.name:28}  {tried.macs / 1e6:8.1f} M MACs  {tried.top1:.1%}", file=sys.stderr)


def _written(what: str, value: float) -> str:
    from convlens.quantities import count

    return f"{count(round(value))} MACs" if what == "MACs" else f"{value:.3g} ms (PyTorch, one core, float32)"


def _as_dict(
    chosen: "Coefficients",
    fitted: "Fitted",
    what: str,
    limit: float,
    tried: "Sequence[Tried]",
    lines: "Mapping[str, Sequence[Tried]]",
) -> dict[str, object]:
    def one(each: "Tried") -> dict[str, object]:
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
