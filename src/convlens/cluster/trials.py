"""The trainings of a study on many machines: a rung's are begun together, and asked for one by one."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlens.choosing.rung import run_rung
from convlens.cluster.joining import check_sees, imported, joined
from convlens.cluster.paths import local_paths, with_absolute_paths

if TYPE_CHECKING:
    from convlens.training.progress import Watcher

_RETRIES = 20  # of a training whose node was lost: it goes on from its checkpoint

Call = tuple[Mapping[str, Any], int, bool]  # what `run_rung` takes


class Trials:
    """Runs rungs as tasks of Ray. Made by `trials_on_ray`.

    A study decides in the same order, by the same numbers, as on one machine: what it does not ask for any more is
    dropped, and so the table is the same.

    Args:
        gpus: whether a training takes one.
    """

    def __init__(self, nodes: Sequence[Any], *, gpus: bool) -> None:
        ray = imported()
        self._nodes, self._checked = list(nodes), False
        self._task = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0, max_retries=_RETRIES)(run_rung)
        self._begun: dict[str, Any] = {}

    def begin(self, calls: Sequence[Call]) -> None:
        """Begin trainings that will be asked for; those of an earlier rung that nobody asked for end."""
        ray = imported()
        for reference in self._begun.values():
            ray.cancel(reference, force=True)
        self._begun = {}
        for settings, until, held_out in calls:
            self._begun[_key(settings, until, held_out)] = self._submit(settings, until, held_out)

    def run(
        self, settings: Mapping[str, Any], until: int, held_out: bool, watcher: "Watcher | None" = None
    ) -> dict[str, Any]:
        """What `run_rung` gives, computed on some node."""
        del watcher  # the training is elsewhere
        key = _key(settings, until, held_out)
        reference = self._begun.pop(key, None) or self._submit(settings, until, held_out)
        found: dict[str, Any] = imported().get(reference)
        return found

    def _submit(self, settings: Mapping[str, Any], until: int, held_out: bool) -> Any:
        absolute = with_absolute_paths(settings)
        if not self._checked:
            Path(absolute["runs"]).mkdir(parents=True, exist_ok=True)
            check_sees(self._nodes, local_paths(absolute) | {absolute["runs"]: 0}, "the data and the study")
            self._checked = True
        return self._task.remote(absolute, until, held_out)


@contextmanager
def trials_on_ray(address: str, device: str = "auto") -> Iterator[Trials]:
    """Join a cluster to run trials there.

    Args:
        address: as `joined` takes it.
        device: of the trainings.

    Raises:
        ConvlensError: the cluster cannot be joined.
    """
    with joined(address) as nodes:
        yield Trials(nodes, gpus=device != "cpu" and imported().cluster_resources().get("GPU", 0) >= 1)


def _key(settings: Mapping[str, Any], until: int, held_out: bool) -> str:
    return json.dumps([dict(settings), until, held_out], sort_keys=True, default=str)
