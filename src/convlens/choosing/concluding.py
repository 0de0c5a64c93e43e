"""The end of a study: what finished is measured and compared, and one network is recommended."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace

from convlens.choosing.frontier import Entry, Frontier, in_order
from convlens.choosing.limits import Costs, Limits
from convlens.choosing.recommending import Answered, Recommendation, frontier_of, recommend
from convlens.choosing.rung import answers_of
from convlens.choosing.searching import Ended, Search, answered_by
from convlens.choosing.study import StudyFolder
from convlens.choosing.survivors import Measured, measure_survivors
from convlens.errors import ConvlensError
from convlens.processors import default_threads, processor_name

Note = Callable[[str], None]


def conclude(folder: StudyFolder, search: Search, ended: Ended, note: Note) -> Frontier:
    """Say what a study found; the limits are those of the measured costs now.

    Args:
        folder: the study.
        search: its trials.
        ended: how the search did.
        note: told what is measured.

    Raises:
        ConvlensError: every training failed.
    """
    reached = search.reached()
    finished = [name for name, each in reached.items() if each.status == "finished"]
    if not finished:
        raise ConvlensError(
            "no training came to its end: "
            + "; ".join(f"{n}: {each.failed}" for n, each in reached.items() if each.failed)
        )
    limits, seeds = Limits(**folder.settings["limits"]), folder.settings["seeds"]
    measured = measure_survivors({name: folder.runs / name for name in finished}, folder.path, note)
    costs = {name: _as_measured(folder.costs[name], measured.get(name)) for name in finished}
    answered = {name: replace(answered_by(folder, name, seeds), costs=costs[name]) for name in finished}
    broken = {name: limits.broken_by(costs[name]) for name in finished}
    within = {name: each for name, each in answered.items() if not broken[name]}
    chosen = recommend(within) if within else None
    on_frontier = frontier_of(costs, {name: each.top1 for name, each in answered.items()})
    entries = []
    for name, candidate in folder.candidates.items():
        about = Entry(**asdict(candidate), name=name, status="dropped", costs=folder.costs.get(name))
        if name in folder.dropped:
            entries.append(replace(about, reason=folder.dropped[name]))
            continue
        far = reached[name]
        status = "not needed" if far.status == "waiting" and ended.settled else far.status
        entry = replace(about, status=status, epochs=far.epochs, val_top1=far.top1, reason=far.failed)
        entry = replace(entry, run=None if status == "not tried" else f"{folder.runs.name}/{name}")
        if name in answered:
            entry = _finished(folder, entry, answered[name], measured.get(name))
            entry = replace(entry, reason="; ".join(broken[name]), on_frontier=name in on_frontier)
        entries.append(entry)
    split, images = _held_out(folder, finished)
    return Frontier(
        study=folder.path,
        data=folder.data,
        split=split,
        images=images,
        limits=limits.set(),
        entries=in_order(entries),
        comparisons=chosen.comparisons if chosen else (),
        recommended=chosen.name if chosen else None,
        because=because(chosen, within, images) if chosen else _none_within(broken),
        stopped_because=ended.why,
        seconds=search.seconds,
        processor=processor_name(),
        threads=default_threads(),
        notes=_notes(split, seeds),
    )


def because(chosen: Recommendation, answered: Mapping[str, Answered], images: int) -> str:
    """Why a network is recommended, in words."""
    best, taken = answered[chosen.best], answered[chosen.name]
    equal = [each.other for each in chosen.comparisons if not each.distinguished]
    reached = f"{best.top1:.2%} of {images} images"
    if chosen.name != chosen.best:
        return (
            f"{_listed([chosen.best, *equal])} cannot be distinguished on these {images} images; take the smallest: "
            f"{chosen.name}, {taken.top1:.2%} right ({chosen.best}: {best.top1:.2%})"
        )
    if not chosen.comparisons:
        return f"{chosen.name} is the only one that was trained to its end within the limits: {reached} right"
    if equal:
        return (
            f"{chosen.name} is the most accurate, {reached} right, and the smallest of those that cannot be "
            f"distinguished from it on these {images} images ({_listed(equal)})"
        )
    return f"{chosen.name} is the most accurate, {reached} right, and distinguished from all others that finished"


def _as_measured(counted: Costs, measured: Measured | None) -> Costs:
    if measured is None:
        return counted
    return replace(
        counted,
        file_bytes=measured.file_bytes,
        memory_bytes=measured.memory_bytes if measured.memory_bytes is not None else counted.memory_bytes,
        latency_ms=measured.latency_ms,
    )


def _finished(folder: StudyFolder, entry: Entry, answered: Answered, measured: Measured | None) -> Entry:
    told = answers_of(folder.runs / entry.name) or {}
    return replace(
        entry,
        costs=answered.costs,
        top1=told["top1"],
        low=told["top1_low"],
        high=told["top1_high"],
        seeds=answered.seeds,
        runtime=measured.runtime if measured else None,
        precision=measured.precision if measured else None,
    )


def _held_out(folder: StudyFolder, finished: Sequence[str]) -> tuple[str, int]:
    told = answers_of(folder.runs / finished[0])
    assert told is not None, "what finished has answered"
    return told["split"], told["images"]


def _none_within(broken: Mapping[str, Sequence[str]]) -> str:
    reasons = "; ".join(f"{name} has {' and '.join(why)}" for name, why in broken.items())
    return f"none is within the limits as measured on this machine: {reasons}"


def _notes(split: str, seeds: int) -> tuple[str, ...]:
    notes = []
    if split == "val":
        notes.append(
            "There is no test split, so accuracies are of the validation images, which also decided who was trained "
            "on: they flatter a little."
        )
    if seeds == 1:
        notes.append(
            "Each network was trained once: the tests say whether these trained networks differ, not whether another "
            "training would (--seeds)."
        )
    return tuple(notes)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
