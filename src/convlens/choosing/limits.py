"""What a network may cost at most, and which candidates cost more."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

from convlens.errors import ConvlensError
from convlens.quantities import count, size_in_bytes

_FACTORS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?(?:e\d+)?)\s*([kmgt]?)(b?)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What one candidate costs; None where it is not known.

    Attributes:
        parameters: elements of all parameters.
        macs: multiply-adds for one image.
        file_bytes: of its weights.
        memory_bytes: of an inference of one image, weights included.
        latency_ms: of one image on the fastest runtime.
    """

    parameters: int
    macs: int
    file_bytes: int
    memory_bytes: int | None
    latency_ms: float | None = None


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One kind of limit: its option, the cost that it bounds, and how the cost is written for people."""

    option: str
    cost: str
    what: str
    write: Callable[[float], str]

    def of(self, costs: Costs) -> float | None:
        """The cost that is bounded."""
        value: float | None = getattr(costs, self.cost)
        return value


def _milliseconds(value: float) -> str:
    return f"{value:.3g} ms"


BOUNDS = {
    "max_params": Bound(
        option="--max-params", cost="parameters", what="parameters", write=lambda value: count(round(value))
    ),
    "max_macs": Bound(option="--max-macs", cost="macs", what="MACs", write=lambda value: count(round(value))),
    "max_mb": Bound(
        option="--max-mb", cost="file_bytes", what="of file", write=lambda value: size_in_bytes(round(value))
    ),
    "max_memory": Bound(
        option="--max-memory", cost="memory_bytes", what="of memory", write=lambda value: size_in_bytes(round(value))
    ),
    "max_ms": Bound(option="--max-ms", cost="latency_ms", what="an image", write=_milliseconds),
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Hard limits, each in the unit of its cost; None for none.

    Attributes:
        max_params: parameters.
        max_macs: multiply-adds for one image.
        max_mb: bytes of the file of weights.
        max_memory: bytes of an inference of one image.
        max_ms: milliseconds for one image on the fastest runtime of this machine.
    """

    max_params: float | None = None
    max_macs: float | None = None
    max_mb: float | None = None
    max_memory: float | None = None
    max_ms: float | None = None

    @classmethod
    def read(cls, given: Mapping[str, float | str | None]) -> "Limits":
        """Read limits as the command line takes them: 10M, 200MB, 8.

        Raises:
            ConvlensError: what is not an amount above 0.

        >>> Limits.read({"max_params": "10M", "max_mb": 20}).max_mb
        20000000.0
        """
        values = {name: read_amount(BOUNDS[name].option, value) for name, value in given.items() if value is not None}
        if "max_mb" in values and str(given["max_mb"]).strip()[-1].isdigit():  # a bare number is of megabytes
            values["max_mb"] *= 1e6
        return cls(**values)

    def set(self) -> dict[str, float]:
        """The limits that there are, by name."""
        return {entry.name: value for entry in fields(self) if (value := getattr(self, entry.name)) is not None}

    def broken_by(self, costs: Costs) -> list[str]:
        """The limits that these costs break, each as a reason; an unknown cost breaks none."""
        return [reason for name in self.set() if (reason := self._reason(name, costs))]

    def _reason(self, name: str, costs: Costs) -> str:
        bound, most = BOUNDS[name], self.set()[name]
        value = bound.of(costs)
        if value is None or value <= most:
            return ""
        return f"{bound.write(value)} {bound.what}, more than {bound.option} {bound.write(most)}"


def read_amount(option: str, value: float | str) -> float:
    """Read an amount: a number, or one with k, M, G or T, and B for bytes.

    Raises:
        ConvlensError: what is not an amount above 0.

    >>> read_amount("--max-memory", "200MB"), read_amount("--max-params", "1.5k")
    (200000000.0, 1500.0)
    """
    parts = _AMOUNT.fullmatch(str(value).strip())
    amount = float(parts[1]) * _FACTORS[parts[2].lower()] if parts else 0.0
    if amount <= 0:
        raise ConvlensError(f"{option} is {value!r}; use an amount above 0, such as 8, 10M or 200MB")
    return amount


def impossible(limits: Limits, costs: Mapping[str, Costs]) -> ConvlensError:
    """Why no candidate is within the limits, and what the cheapest one needs.

    Args:
        limits: that all candidates break.
        costs: of each candidate, by its name, as far as they are known.
    """
    alone = {}
    for name in limits.set():
        known = {each: value for each in costs if (value := BOUNDS[name].of(costs[each])) is not None}
        if known and min(known.values()) > limits.set()[name]:
            alone[name] = min(known, key=lambda each: known[each])
    if alone:
        needs = [_need(limits, name, each, costs[each]) for name, each in alone.items()]
        return ConvlensError(f"no candidate is small enough: {'; '.join(needs)}")
    nearest = min(costs, key=lambda each: (len(limits.broken_by(costs[each])), costs[each].parameters))
    why = " and ".join(limits.broken_by(costs[nearest]))
    options = " and ".join(BOUNDS[name].option for name in limits.set())
    return ConvlensError(
        f"each of {options} can be met, but no candidate meets all at once; the nearest, {nearest}, has {why}; "
        "raise that limit, or add networks or smaller sizes"
    )


def _need(limits: Limits, name: str, smallest: str, costs: Costs) -> str:
    bound = BOUNDS[name]
    value = bound.of(costs)
    assert value is not None
    return (
        f"{bound.option} {bound.write(limits.set()[name])}, and the smallest, {smallest}, needs {bound.write(value)} "
        f"{bound.what}"
    )


def cheapest(names: Sequence[str], costs: Mapping[str, Costs]) -> str:
    """The smallest of candidates: by parameters, where these are equal by multiply-adds."""
    return min(names, key=lambda name: (costs[name].parameters, costs[name].macs, name))
