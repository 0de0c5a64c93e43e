"""What candidates cost before any of them is trained: by the anatomy and, if the time counts, by measurement."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from convlens import networks
from convlens.choosing.candidates import Candidate, combine
from convlens.choosing.limits import Costs, Limits, impossible
from convlens.choosing.untrained_latency import measure_untrained
from convlens.data import Dataset
from convlens.errors import ConvlensError
from convlens.training.config import TrainConfig
from convlens.training.input_choice import fitting_size, preprocessing_of, sample

Note = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Shortlist:
    """All candidates, what each costs as far as it was counted, and why some were dropped before training."""

    candidates: tuple[Candidate, ...]
    costs: Mapping[str, Costs]
    dropped: Mapping[str, str]


def shortlist(
    data: str,
    dataset: Dataset,
    names: tuple[str, ...],
    sizes: tuple[tuple[int, int] | None, ...],
    limits: Limits,
    *,
    with_weights: bool,
    note: Note,
) -> Shortlist:
    """Work out what every candidate costs, and drop those that break a limit.

    Args:
        data: as the user named the images.
        dataset: the images.
        names: of networks.
        sizes: of inputs; None stands for what the images have to show, as `train` chooses it.
        limits: hard ones.
        with_weights: whether published weights that are on this machine make candidates of their own.
        note: told what is going on.

    Raises:
        ConvlensError: nothing is within the limits; the message says what the smallest needs.
    """
    costs: dict[str, Costs] = {}
    dropped: dict[str, str] = {}
    every: list[Candidate] = []
    images = sample(dataset, dataset.channels) if None in sizes else []
    note(f"counting what {len(names)} networks cost")
    for name, size, weights in combine(names, sizes, with_weights=with_weights):
        config = TrainConfig(data=data, network=name, weights=weights)
        before = preprocessing_of(config)
        usual = size or (before.size if before else fitting_size(name, images))
        candidate = Candidate(network=name, size=usual, weights=weights)
        if candidate in every:
            continue
        every.append(candidate)
        channels = before.channels if before else dataset.channels
        try:
            networks.check_size(name, candidate.size)
        except ConvlensError as error:
            dropped[candidate.name] = str(error)
            continue
        costs[candidate.name] = counted(candidate, len(dataset.classes), channels)
        broken = limits.broken_by(costs[candidate.name])
        if not broken and limits.max_ms is not None:
            note(f"timing {candidate.name}")
            latency = measure_untrained(candidate, len(dataset.classes), channels)
            costs[candidate.name] = replace(costs[candidate.name], latency_ms=latency)
            broken = limits.broken_by(costs[candidate.name])
        if broken:
            dropped[candidate.name] = "; ".join(broken)
    if not costs:
        raise ConvlensError("no candidate can take such images: " + "; ".join(dropped.values()))
    if len(dropped) == len(every):
        raise impossible(limits, costs)
    return Shortlist(candidates=tuple(every), costs=costs, dropped=dropped)


def counted(candidate: Candidate, classes: int, channels: int) -> Costs:
    """Read a candidate's costs off its anatomy; no number of it is computed."""
    from convlens.anatomy import inspect

    with networks.outlined():
        network = networks.create(candidate.network, classes=classes, channels=channels, size=candidate.size).eval()
    sheet = inspect(network, (channels, *candidate.size))
    memory = sheet.memory
    return Costs(
        parameters=sheet.parameters,
        macs=sheet.macs,
        file_bytes=memory.parameters + memory.buffers,
        memory_bytes=memory.total,
    )
