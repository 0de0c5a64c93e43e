"""The lecture's last figure: accuracy against size, as the papers state it and as our networks come out.

Figure 1, table 2 and table 4 of Tan and Le, EfficientNet: rethinking model scaling for convolutional neural networks,
2019 (arXiv:1905.11946v5), and the papers of the other networks, in `literature.csv`. Accuracies and seconds are always
as published; parameters and multiply-adds are recomputed wherever the network is one of ours.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from convlens.networks import card, create, names


@dataclass(frozen=True, kw_only=True)
class Stated:
    """What one source says of one network; None where it says nothing.

    Attributes:
        source: the paper, or whoever published the weights.
        network: its name there.
        family: networks that are drawn alike.
        ours: the name in the catalogue; None for a network that is not in it.
        size: (height, width) of the images that its multiply-adds are for, None where it is not ours.
        parameters: count.
        macs: multiply-adds for one image.
        top1: ImageNet validation accuracy in percent.
        top5: the same for five guesses.
        seconds: for one image on one core (Tan and Le, table 4).
        note: protocol and table.
        note_ru: the same in Russian, for the explorer.
    """

    source: str
    network: str
    family: str
    ours: str | None
    size: tuple[int, int] | None
    parameters: float | None
    macs: float | None
    top1: float | None
    top5: float | None
    seconds: float | None
    note: str
    note_ru: str

    @property
    def in_figure_1(self) -> bool:
        """Whether it is in the EfficientNet paper's comparison."""
        return self.source.startswith("Tan 2019")


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A statement beside what our network comes to: counts, None where there is no such network of ours."""

    stated: Stated
    parameters: int | None
    macs: int | None


@cache
def papers() -> tuple[Stated, ...]:
    """What the papers state, one row a network and paper."""
    text = files("convlens.lessons").joinpath("literature.csv").read_text(encoding="utf-8")
    return tuple(_read(row) for row in csv.DictReader(text.splitlines()))


@cache
def published() -> tuple[Stated, ...]:
    """What the published weights of the catalogue reach, by their publishers; weights without accuracy left out."""
    rows = []
    for name in names():
        sheet = card(name)
        for weights in sheet.weights.values():
            if weights.top1 is not None:
                side = weights.preprocessing.size[0]
                rows.append(
                    Stated(
                        source="the authors" if sheet.family == "efficientnet_lite" else "torchvision 0.28.0",
                        network=_shown(name) + (" v2" if weights.name.endswith("_v2") else ""),
                        family=sheet.family.split("_")[0],
                        ours=name,
                        size=weights.preprocessing.size,
                        parameters=float(sheet.parameters),
                        macs=float(sheet.macs),
                        top1=weights.top1,
                        top5=weights.top5,
                        seconds=None,
                        note=f"{weights.name}, {side} px",
                        note_ru=f"{weights.name}, {side} пикс.",
                    )
                )
    return tuple(rows)


def compare(rows: Sequence[Stated]) -> list[Compared]:
    """Set each statement beside our network, counted anew from the network itself on the meta device."""
    compared = []
    for row in rows:
        parameters, macs = _count(row.ours, row.size) if row.ours and row.size else (None, None)
        compared.append(Compared(stated=row, parameters=parameters, macs=macs))
    return compared


@cache
def _count(name: str, size: tuple[int, int]) -> tuple[int, int]:
    """Parameters and multiply-adds as the network answers: heads that only training has are left out of both."""
    from convlens.anatomy import inspect
    from convlens.networks import outlined

    with outlined():
        network = create(name).eval()
    sheet = inspect(network, (card(name).channels, *size))
    used = sum(p.numel() for part, p in network.named_parameters() if not part.startswith("aux"))
    return used, sheet.macs


def _shown(name: str) -> str:
    """A name of the catalogue as papers write it."""
    for ours, theirs in _WRITTEN.items():
        if name.startswith(ours):
            rest = name.removeprefix(ours).removesuffix("_bn")
            return f"{theirs}{rest.upper() if ours == 'efficientnet_' else rest}{' BN' * name.endswith('_bn')}"
    return name


_WRITTEN = {
    "efficientnet_lite": "EfficientNet-Lite",
    "efficientnet_": "EfficientNet-",
    "mobilenet_v": "MobileNetV",
    "resnet": "ResNet-",
    "vgg": "VGG-",
    "googlenet": "GoogLeNet",
    "alexnet": "AlexNet",
}


def _read(row: dict[str, str]) -> Stated:
    side = int(row["size"]) if row["size"] else None
    return Stated(
        source=row["source"],
        network=row["network"],
        family=row["family"],
        ours=row["ours"] or None,
        size=None if side is None else (side, side),
        parameters=_times(row["parameters_m"], 1e6),
        macs=_times(row["macs_g"], 1e9),
        top1=_times(row["top1"], 1),
        top5=_times(row["top5"], 1),
        seconds=_times(row["seconds"], 1),
        note=row["note"],
        note_ru=row["note_ru"],
    )


def _times(text: str, factor: float) -> float | None:
    return round(float(text) * factor, 6) if text else None
