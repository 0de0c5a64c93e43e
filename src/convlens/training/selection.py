"""Which epoch's weights are kept, and whether training still gets anywhere: functions of the validation figures."""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

Row = Mapping[str, Any]


def keeps(row: Row, before: Sequence[Row], monitor: str, images: int) -> bool:
    """Whether an epoch takes the place of the one whose weights were kept.

    It does if its figure is the best, or no further below the best than chance reaches: one standard error (Breiman et
    al. 1984, section 3.4.3). Of epochs that so many images cannot tell apart the latest is kept, for it has learned
    longest, at the smallest rate. To keep the very best instead means to keep the luckiest, and on a few images that is
    an early one. Log loss has no tolerance: whoever watches it wants to see overfitting, which it shows first.

    Args:
        row: the epoch's figures; without validation figures the latest epoch is kept.
        before: those of the epochs before it.
        monitor: which figure counts.
        images: validation images.
    """
    if not before or "val_log_loss" not in row:
        return True
    best = max(_rank(each, monitor)[0] for each in (*before, row))
    tolerated = 0.0 if monitor == "log_loss" else standard_error(best, images)
    return _rank(row, monitor)[0] >= best - tolerated


def improves(row: Row, before: Sequence[Row], monitor: str) -> bool:
    """Whether an epoch beats all before it: by the figure, and where that is equal by the smaller log loss."""
    if not before or "val_log_loss" not in row:
        return True
    return _rank(row, monitor) > max(_rank(each, monitor) for each in before)


def standard_error(share: float, images: int) -> float:
    """How far chance moves a share of right answers.

    The share is drawn towards one half, as if two more images had been one right and one wrong (Laplace's rule): all of
    ten right is no certainty.

    >>> round(standard_error(1.0, 10), 3), round(standard_error(0.9, 10_000), 3)
    (0.087, 0.003)
    """
    expected = (share * images + 1) / (images + 2)
    return sqrt(expected * (1 - expected) / images)


def _rank(row: Row, monitor: str) -> tuple[float, float]:
    """Larger is better."""
    figure = float(row[f"val_{monitor}"])
    return (-figure if monitor == "log_loss" else figure), -float(row["val_log_loss"])
