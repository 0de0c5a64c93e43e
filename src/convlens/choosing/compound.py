"""Compound scaling for any budget and base (Tan and Le, EfficientNet, 2019, section 3.3).

The coefficients α, β, γ say how much depth, width and resolution grow while the cost doubles, α·β²·γ² ≈ 2. They are
given, or found by training the base at twice its cost once for each combination of a small grid. Then one exponent φ
scales the base with α^φ, β^φ, γ^φ until it meets the budget.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from convlens import networks
from convlens.choosing.rung import run_rung
from convlens.errors import ConvlensError
from convlens.networks import Scale
from convlens.training.config import TrainConfig
from convlens.training.progress import Silence, Watcher

_ALPHAS = (1.0, 1.2, 1.4, 2.0)
_BETAS = (1.0, 1.1, 1.25, 2**0.5)
_STEPS = (1, 2)  # φ of the figure: twice and four times the cost
_RANGE = 12.0  # φ is looked for from minus this to this
_HALVINGS = 14
_MORE_PIXELS = 1.5  # how far the resolution alone may fill what rounding left
_DOUBLES = (1.7, 2.3)  # how far α·β²·γ² may be from 2


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """How much depth, width and resolution grow where the cost doubles."""

    alpha: float
    beta: float
    gamma: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 1 <= value <= 2.3:
                raise ConvlensError(f"{name} is {value:g}; use 1 (does not grow) to 2 (grows alone)")
        least, most = _DOUBLES
        if not least <= self.doubles <= most:
            raise ConvlensError(f"α·β²·γ² is {self.doubles:.2f}; it has to be about 2, so that the cost doubles")

    @property
    def doubles(self) -> float:
        """α·β²·γ²."""
        return self.alpha * self.beta**2 * self.gamma**2

    def scaled(self, base: Scale, phi: float) -> Scale:
        """The base, scaled by the compound coefficient φ; factors as they are written, with two decimals."""
        return Scale(
            depth=round(base.depth * self.alpha**phi, 2),
            width=round(base.width * self.beta**phi, 2),
            resolution=round(base.resolution * self.gamma**phi),
        )


def grid() -> tuple[Coefficients, ...]:
    """Combinations with α·β²·γ² = 2; among them depth, width and resolution alone.

    >>> all(abs(each.doubles - 2) < 0.05 for each in grid())
    True
    """
    found = []
    for alpha in _ALPHAS:
        for beta in _BETAS:
            gamma = round((2 / (alpha * beta**2)) ** 0.5, 2)
            if gamma >= 1:
                found.append(Coefficients(alpha=alpha, beta=round(beta, 2), gamma=gamma))
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Base:
    """A base with its scale.

    Args:
        name: what stands before the @.
        scale: that it has before it is scaled.
    """

    name: str
    scale: Scale

    def at(self, scale: Scale) -> str:
        """The name of the base at a scale."""
        return networks.scaled_name(self.name, scale)


def read_base(text: str, size: int | None = None) -> Base:
    """Read a base: `efficientnet_b0`, `resnet18`, or one that is scaled itself, such as `resnet@0.5,0.25,16`.

    Args:
        text: as the user wrote it.
        size: of its images in pixels; its own when None.

    Raises:
        ConvlensError: a network that cannot be scaled, or coefficients that are none.
    """
    own = networks.read_scaled(text if "@" in text else f"{text}@1,1,224")
    if "@" in text and size is None:
        return Base(name=own.base, scale=own.scale)
    side = size or networks.card(text).input_size[0]
    return Base(name=own.base, scale=Scale(depth=own.scale.depth, width=own.scale.width, resolution=side))


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A network that was trained a little: what it was scaled by, its name, its cost, its best validation accuracy."""

    coefficients: Coefficients | None
    name: str
    macs: int
    top1: float


@dataclass(frozen=True, kw_only=True)
class Trainings:
    """Short trainings on the user's data, each in a run folder of its own; one that is there is not trained again.

    Args:
        data: the images.
        epochs: of each.
        seed: of each.
        folder: for the runs.
    """

    data: str
    epochs: int
    seed: int
    folder: Path
    watcher: Watcher | None = None

    def top1(self, name: str) -> float:
        """The best validation accuracy of a network, 0 to 1."""
        settings = TrainConfig(
            data=self.data,
            network=name,
            epochs=self.epochs,
            seed=self.seed,
            recipe="scratch",
            runs=str(self.folder),
            name=f"{name}-{self.epochs}-{self.seed}".replace(",", "_"),
        )
        done = run_rung(settings.to_dict(), self.epochs, False, self.watcher or Silence())
        if done["stopped_by"]:
            raise KeyboardInterrupt
        return float(done["top1"])

    def tried(self, name: str, coefficients: Coefficients | None = None) -> Tried:
        """Train a network a little."""
        return Tried(coefficients=coefficients, name=name, macs=networks.card(name).macs, top1=self.top1(name))


def search(base: Base, trainings: Trainings, note: Callable[[Tried], None]) -> list[Tried]:
    """The grid of section 3.3: the base at φ = 1 with each combination, the most accurate first.

    Args:
        base: what is scaled.
        trainings: how each is trained.
        note: told each as it is done.
    """
    tried = []
    for coefficients in grid():
        tried.append(trainings.tried(base.at(coefficients.scaled(base.scale, 1.0)), coefficients))
        note(tried[-1])
    return sorted(tried, key=lambda each: (-each.top1, each.macs))


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What a budget allows: its name, the exponent φ, what it costs, and the share of the budget that is left."""

    name: str
    phi: float
    cost: float
    gap: float


def fit_budget(base: Base, coefficients: Coefficients, budget: float, cost: Callable[[str], float]) -> Fitted:
    """Find the largest φ whose network costs no more than a budget; then more pixels, as rounding leaves some of it.

    Args:
        base: what is scaled, up or down.
        coefficients: α, β, γ.
        budget: the most that it may cost.
        cost: of a network, by its name.

    Raises:
        ConvlensError: the smallest network that can be made costs more.
    """
    least = max(networks.card(base.at(base.scale)).smallest_size)

    def at(phi: float) -> Scale:
        scale = coefficients.scaled(base.scale, phi)
        return Scale(
            depth=min(max(scale.depth, 0.05), 20.0),
            width=min(max(scale.width, 0.05), 20.0),
            resolution=min(max(scale.resolution, least), 4096),
        )

    def price(scale: Scale) -> float:
        return cost(base.at(scale))

    low, high = -_RANGE, _lowest_above(at, price, budget)
    if price(at(low)) > budget:
        raise ConvlensError(
            f"no network scaled from {base.at(base.scale)} is within the budget: the smallest, {base.at(at(low))}, "
            f"costs {_amount(price(at(low)))}, and {_amount(budget)} is allowed; allow more, or take a smaller base"
        )
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if price(at(middle)) <= budget else (low, middle)
    scale = _more_pixels(at(low), price, budget)
    reached = price(scale)
    return Fitted(name=base.at(scale), phi=low, cost=reached, gap=1 - reached / budget)


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _lowest_above(at: Callable[[float], Scale], price: Callable[[Scale], float], budget: float) -> float:
    """An exponent at which the budget is exceeded, no further than needed: the largest networks are slow to count."""
    phi = 0.0
    while phi < _RANGE and price(at(phi)) <= budget:
        phi += 1.0
    return phi


def _more_pixels(scale: Scale, price: Callable[[Scale], float], budget: float) -> Scale:
    """The same depth and width at the largest resolution that the budget allows."""
    low, high = scale.resolution, int(scale.resolution * _MORE_PIXELS) + 1
    while high - low > 1:
        middle = (low + high) // 2
        larger = Scale(depth=scale.depth, width=scale.width, resolution=middle)
        low, high = (middle, high) if price(larger) <= budget else (low, middle)
    return Scale(depth=scale.depth, width=scale.width, resolution=low)


ALONE = {
    "depth": Coefficients(alpha=2.0, beta=1.0, gamma=1.0),
    "width": Coefficients(alpha=1.0, beta=1.41, gamma=1.0),
    "resolution": Coefficients(alpha=1.0, beta=1.0, gamma=1.41),
}


def compare_dimensions(
    base: Base,
    coefficients: Coefficients,
    trainings: Trainings,
    note: Callable[[Tried], None],
) -> dict[str, list[Tried]]:
    """Figure 8 of the paper: the base scaled in one dimension and in all three, at twice and four times its cost.

    Returns:
        dimension -> the base and what it was scaled to, from small to large.
    """
    start = trainings.tried(base.at(base.scale))
    note(start)
    lines: dict[str, list[Tried]] = {}
    for what, each in (*ALONE.items(), ("all three", coefficients)):
        lines[what] = [start]
        for phi in _STEPS:
            lines[what].append(trainings.tried(base.at(each.scaled(base.scale, phi)), each))
            note(lines[what][-1])
    return lines
