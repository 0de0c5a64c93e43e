"""What is tried for speed before a training, one thing after another, and what is taken.

Each candidate differs in one thing from the best so far, so that the search takes a dozen steps and not every
combination. The batch is no candidate: its size, and the parts whose statistics batch norms take, belong to the recipe.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

from convlens.training.config import TrainConfig
from convlens.training.speed.numerics import OWN_AVERAGE, OWN_DEPTHWISE, Compiled, Numerics

CLEARLY_FASTER = 1.15  # below that, timing noise would decide
_SHARE = 0.02  # of the training may be spent on the search,
_LEAST_SECONDS, _MOST_SECONDS = 2.0, 60.0  # within these bounds
_HOPED_FOR = 0.25  # share of a step that compiling may save at best
_COMPILE_SECONDS_A_LAYER = 1.0  # a guess, before it is measured
_WORTH_A_TRY = 10  # times the guessed compile time is what it must be able to save


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a device can do that is worth trying."""

    kind: str
    threads: int
    bfloat16: bool
    depthwise: bool
    averages: bool
    lacks_to_compile: str | None
    layers: int


@dataclass(frozen=True, kw_only=True)
class Race:
    """What a step took, in milliseconds, for the best so far and for a candidate, and its first step in seconds."""

    best: float
    candidate: float
    first_seconds: float = 0.0


class CandidateError(Exception):
    """A candidate that does not work, with the reason in one line."""


class Clock(Protocol):
    """Times candidates."""

    def race(self, best: Numerics, candidate: Numerics) -> Race:
        """Time both in turns; a candidate that does not work raises `CandidateError`."""
        ...

    @property
    def spent(self) -> float:
        """Seconds since it began to time."""
        ...


@dataclass(kw_only=True)
class Found:
    """The best so far, and what is known of every candidate.

    Attributes:
        best: the fastest.
        milliseconds: what a step took in each candidate that was timed.
        skipped: candidates that were not tried, each with the reason.
        failed: candidates that did not work, each with the reason.
        compiled: for each mode of compiling that was timed, both sides' milliseconds and the compile time.
    """

    best: Numerics
    milliseconds: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    compiled: dict[str, dict[str, float]] = field(default_factory=dict)

    def note(self, best: Numerics, candidate: Numerics, race: Race) -> None:
        """Keep what a race showed; of two values of the same candidate the smaller one."""
        for numerics, value in ((best, race.best), (candidate, race.candidate)):
            known = self.milliseconds.get(numerics.title, value)
            self.milliseconds[numerics.title] = round(min(known, value), 3)


def first_numerics(config: TrainConfig, device: str, machine: Machine) -> Numerics:
    """What is computed with if nothing is tried: what the configuration names, else the plain way."""
    precision = "float32" if config.precision == "auto" else config.precision
    return Numerics(
        device=device,
        threads=machine.threads,
        precision=precision,
        memory_format="channels_last" if config.memory_format == "auto" else config.memory_format,
        depthwise=OWN_DEPTHWISE if precision == "bfloat16" and machine.depthwise else "torch",
        average=OWN_AVERAGE if machine.averages and config.compile in ("auto", "none") else "torch",
    )


def candidates(config: TrainConfig, machine: Machine, found: Found) -> Iterator[Numerics]:
    """Yield what to try, all but compiling; each is made from the best at that time.

    Threads come first: on a machine that others keep busy, all threads can be many times slower than one.
    """
    if machine.kind == "cpu" and not config.threads:
        for threads in sorted({1, machine.threads // 2} - {0, machine.threads}):
            yield replace(found.best, threads=threads)
    if config.precision == "auto" and machine.bfloat16:
        yield replace(found.best, precision="bfloat16", depthwise=OWN_DEPTHWISE if machine.depthwise else "torch")
    elif config.precision == "auto" and machine.kind == "cuda":
        yield replace(found.best, precision="float16")
    if config.memory_format == "auto":
        yield replace(found.best, memory_format="contiguous")
    if found.best.depthwise != "torch":
        yield replace(found.best, depthwise="torch")


def modes(machine: Machine) -> tuple[Compiled, ...]:
    """How a network can be compiled: on a GPU also into CUDA graphs."""
    return ("default", "reduce-overhead") if machine.kind == "cuda" else ("default",)


def search(config: TrainConfig, machine: Machine, found: Found, clock: Clock, steps: int) -> None:
    """Try the candidates, all but compiling.

    Args:
        config: what it names is not tried.
        machine: what the device can do.
        found: where the search begins; changed in place.
        clock: times.
        steps: of the whole training, of which the search may take a small share; threads and precision, which
            can gain most, are tried in any case.
    """
    for candidate in candidates(config, machine, found):
        optional = (candidate.threads, candidate.precision) == (found.best.threads, found.best.precision)
        took = found.milliseconds.get(found.best.title, 0.0)
        if optional and clock.spent > seconds_allowed(steps, took):
            found.skipped[candidate.title] = "no time was left for it"
            continue
        race = _try(found, candidate, clock)
        if race and race.candidate * CLEARLY_FASTER < race.best:
            found.best = candidate


def search_compiled(config: TrainConfig, machine: Machine, found: Found, clock: Clock, steps: int) -> None:
    """Try to compile, where the training is long enough to pay for it; what was timed before is not timed again."""
    plain = found.best
    for mode in modes(machine):
        candidate = replace(plain, compile=mode, average="torch")
        if candidate.title in found.failed:
            continue
        known = found.compiled.get(mode)
        reason = None if known else why_not_compiled(config, machine, found, steps)
        if reason:
            found.skipped[candidate.title] = reason
            continue
        race = Race(**known) if known else _try(found, candidate, clock)
        if race is None:
            continue
        found.compiled[mode] = {name: round(value, 3) for name, value in vars(race).items()}
        if pays(race, steps) and (found.best is plain or race.candidate < found.milliseconds[found.best.title]):
            found.best = candidate


def seconds_allowed(steps: int, milliseconds: float) -> float:
    """How long a search may take before a training of so many steps."""
    return min(_MOST_SECONDS, max(_LEAST_SECONDS, _SHARE * steps * milliseconds / 1000))


def why_not_compiled(config: TrainConfig, machine: Machine, found: Found, steps: int) -> str | None:
    """Why compiling is not tried; None if it is."""
    if config.recompute or config.freeze_epochs:
        return "not with --recompute or --freeze-epochs"
    if machine.lacks_to_compile:
        return machine.lacks_to_compile
    hoped_for = _HOPED_FOR * steps * found.milliseconds.get(found.best.title, 0.0) / 1000
    if hoped_for < _WORTH_A_TRY * _COMPILE_SECONDS_A_LAYER * machine.layers:
        return "the training is too short to pay for it"
    return None


def pays(race: Race, steps: int) -> bool:
    """Whether a compiled network is clearly faster, and saves more in the whole training than compiling takes."""
    saved = steps * (race.best - race.candidate) / 1000
    return race.candidate * CLEARLY_FASTER < race.best and saved > race.first_seconds


def opening(found: Numerics) -> str:
    """What was chosen, and what each candidate gave, in one line; empty if nothing was tried.

    >>> opening(Numerics(device="cpu", threads=1, precision="bfloat16", milliseconds={"float32, 1 thread": 9.0}))
    'bfloat16, 1 thread (a step took 9.0 ms in float32, 1 thread)'
    """
    times = ", ".join(f"{value:.1f} ms in {name}" for name, value in found.milliseconds.items())
    return found.title + (f" (a step took {times})" if times else "")


def _try(found: Found, candidate: Numerics, clock: Clock) -> Race | None:
    try:
        race = clock.race(found.best, candidate)
    except CandidateError as error:
        found.failed[candidate.title] = str(error)
        return None
    found.note(found.best, candidate, race)
    return race
