"""What the networks of the catalogue compute at a size: recorded once, and kept in the cache for this version."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from convlens import __version__, files
from convlens.calibrating.workload import Step, Work
from convlens.errors import ConvlensError


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One network at one size.

    Args:
        name: of the network.
        size: (height, width) of the images.
        refused: why it does not take such images; "" if it does.
        parameters, macs, peak_memory: by its anatomy; peak_memory in bytes, see `Anatomy.peak_memory`.
        steps: of its forward pass.
    """

    name: str
    size: tuple[int, int]
    refused: str = ""
    parameters: int = 0
    macs: int = 0
    peak_memory: int = 0
    steps: tuple[Step, ...] = ()


def recorded(
    names: Sequence[str], size: tuple[int, int] | None, on_note: Callable[[int, int], None] | None = None
) -> list[Recorded]:
    """What networks compute for one image.

    Args:
        names: of the catalogue.
        size: (height, width) of the images; each card's own when None.
        on_note: told how many networks are done that were not in the cache, and of how many.
    """
    path = _path()
    kept = files.remembered(path)
    keys = {name: f"{name} {size[0]}x{size[1]}" if size else name for name in names}
    missing = [name for name in names if keys[name] not in kept]
    try:
        for number, name in enumerate(missing):
            if on_note:
                on_note(number, len(missing))
            kept[keys[name]] = _to_dict(_record(name, size))
    finally:  # what was recorded before Ctrl-C need not be recorded again
        if missing:
            files.remember_all(path, {keys[name]: kept[keys[name]] for name in missing if keys[name] in kept})
    return [_from_dict(kept[keys[name]]) for name in names]


def _path() -> Path:
    """A file for this version and these sources of the networks, of which the digest is taken."""
    folder = Path(__file__).parents[1]
    sources = sorted(
        [*(folder / "networks").glob("*.py"), *(folder / "graph").glob("*.py"), *folder.glob("anatomy/*.py")]
    )
    stamps = [f"{source.name} {source.stat().st_size} {source.stat().st_mtime_ns}" for source in sources]
    digest = hashlib.sha256(" ".join([__version__, *stamps]).encode()).hexdigest()[:16]
    return files.cache_folder() / "recorded" / f"{digest}.json"


def _record(name: str, size: tuple[int, int] | None) -> Recorded:
    from convlens.anatomy import inspect
    from convlens.calibrating.reading_graphs import steps_of
    from convlens.networks import card, create, outlined

    where = size or card(name).input_size
    try:
        with outlined():
            network = create(name, size=where).eval()
        sheet = inspect(network, (card(name).channels, *where))
    except ConvlensError as error:
        return Recorded(name=name, size=where, refused=str(error))
    return Recorded(
        name=name,
        size=where,
        parameters=sheet.parameters,
        macs=sheet.macs,
        peak_memory=sheet.peak_memory,
        steps=tuple(steps_of(sheet)),
    )


def _to_dict(one: Recorded) -> dict[str, Any]:
    counted = Counter(one.steps)
    steps = [
        [times, step.target, step.macs, step.work and list(asdict(step.work).values())]
        for step, times in counted.items()
    ]
    return {**{key: value for key, value in asdict(one).items() if key != "steps"}, "steps": steps}


def _from_dict(content: dict[str, Any]) -> Recorded:
    steps: list[Step] = []
    for times, target, macs, values in content["steps"]:
        work = Work(**dict(zip(_FIELDS, map(_as_tuple, values), strict=True))) if values else None
        steps += [Step(target=target, work=work, macs=macs)] * times
    return Recorded(**{**content, "size": tuple(content["size"]), "steps": tuple(steps)})


_FIELDS = tuple(Work.__dataclass_fields__)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
