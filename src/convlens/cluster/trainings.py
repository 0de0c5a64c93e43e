"""One training on many machines: Ray Train starts the processes, and starts them again when some are lost.

Each process does what it does under torchrun. The run folder, with its checkpoint, lies on storage that all machines
share; whatever is lost, the next start goes on from there, with as many processes as there is room for.
"""

import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from convlens.cluster.joining import check_sees, imported, joined
from convlens.cluster.paths import local_paths, with_absolute_paths
from convlens.cluster.run_places import Place, new_place, place_of
from convlens.errors import ConvlensError
from convlens.training.settings import settle
from convlens.training.train import Outcome

_LOSSES = 100  # of workers or nodes, after which a training is given up
_LOOK_SECONDS = 1.0
# How long room for all processes is waited for: Ray may count a node that is gone, and tries fewer only after that.
_ROOM_SECONDS = {"fixed": 300, "elastic": 10}

Say = Callable[[str], None]


def train_on_ray(
    given: Mapping[str, Any],
    *,
    address: str,
    processes: int,
    min_processes: int | None = None,
    resume: str | Path | None = None,
    say: Say,
) -> Outcome:
    """Train on a cluster.

    Args:
        given: settings, as `settle` takes them; `runs` must be a folder that every node sees under the same path, or an
            address.
        address: of the cluster, as `joined` takes it.
        processes: that train together, each with a GPU where the cluster has some.
        min_processes: how few suffice where nodes are lost or not there yet; None for `processes`.
        resume: the run folder to go on with, or its address; None begins a new one.
        say: takes notes for the user.

    Raises:
        ConvlensError: wrong settings, a cluster without room, or a node that does not see the data or the runs.
    """
    least = processes if min_processes is None else min_processes
    if not 1 <= least <= processes:
        raise ConvlensError(
            f"processes is {processes} and min_processes is {least}; use at least 1, and no more of them"
        )
    settings = with_absolute_paths(given)
    if resume:
        device, place = str(given.get("device") or "auto"), place_of(str(resume))
        place.check()
    else:
        config = settle(given)
        device, place = config.device, new_place(config)
        settings |= {"runs": place.parent, "name": place.name}
    with joined(address) as nodes:
        ray = imported()
        check_sees(nodes, local_paths(settings), "the data")
        with place.probe() as probe:
            check_sees(nodes, probe, "the folder of --runs")
        on_gpus = _check_room(ray.cluster_resources(), least, device)
        say(f"{processes} processes on {len(nodes)} nodes train {place}")
        with _following(place, say):
            result = _fit(place, settings, processes, least, on_gpus)
    if result.get("error"):
        raise ConvlensError(str(result["error"]))
    return Outcome(folder=place.opened(), stopped_by=int(result["stopped_by"]), address=place.address)


def _fit(place: Place, settings: dict[str, Any], processes: int, least: int, on_gpus: bool) -> dict[str, Any]:
    room = _ROOM_SECONDS["elastic" if least < processes else "fixed"]
    os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(room)
    os.environ["RAY_TRAIN_ENABLE_STATE_ACTOR_RECONCILIATION"] = "0"  # which asks the dashboard, without end
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    for name in ("ray.train", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    notes, system = place.storage()
    trainer = TorchTrainer(
        _be_a_worker,
        train_loop_config={"run": str(place), "settings": settings},
        scaling_config=ScalingConfig(
            num_workers=processes if least == processes else (least, processes), use_gpu=on_gpus
        ),
        run_config=RunConfig(
            name=f"{place.name}-{uuid.uuid4().hex[:8]}",
            storage_path=notes,
            storage_filesystem=system,
            failure_config=FailureConfig(max_failures=_LOSSES),
        ),
    )
    try:
        found: dict[str, Any] = trainer.fit().return_value
    finally:
        place.clear_storage()
    return found


def _be_a_worker(how: dict[str, Any]) -> dict[str, Any]:
    """One process of the training. What the user can mend is an answer, so that it is not tried again.

    Where other processes wait in a collective for this one, Ray has to end them all first: the answer is left for those
    that it starts again.
    """
    from convlens.training.distributed.entry import run_rank
    from convlens.training.distributed.launch import launched
    from convlens.training.distributed.shared_trouble import TeamError
    from convlens.training.progress import Silence
    from convlens.training.train import go_on, start

    place, settings = place_of(how["run"]), how["settings"]
    if (stopped := place.left()) is not None:
        return {"error": stopped}
    try:
        resume = str(place) if place.is_run() else None
        if launched() is not None:
            if resume is None and os.environ["RANK"] == "0":
                place.clear()  # cut before it was described
            outcome = run_rank(settings, resume=resume)
        elif resume is not None:
            outcome = go_on(resume, _free(settings), Silence())
        else:
            place.clear()
            outcome = start(settle(settings), Silence())
    except TeamError as error:
        if error.lost:
            raise RuntimeError(str(error)) from None  # Ray starts the workers again
        if error.awaited:
            place.leave(str(error))
            raise RuntimeError(str(error)) from None
        return {"error": str(error)}
    except ConvlensError as error:
        return {"error": str(error)}
    return {"stopped_by": outcome.stopped_by}


def _free(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a run that goes on may be given again: where it is, it knows."""
    return {name: value for name, value in settings.items() if name not in ("runs", "name")}


def _check_room(there: Mapping[str, float], least: int, device: str) -> bool:
    """Whether the workers take GPUs; raises where there is not even room for the fewest.

    >>> _check_room({"CPU": 8.0, "GPU": 2.0}, 2, "auto")
    True
    """
    gpus = int(there.get("GPU", 0))
    on_gpus = gpus > 0 and device != "cpu"
    room, what = (gpus, "GPUs") if on_gpus else (int(there.get("CPU", 0)), "processors")
    if room < least:
        raise ConvlensError(
            f"the cluster has {room} {what} and {least} processes need one each; ask for fewer with --processes"
        )
    return on_gpus


@contextmanager
def _following(place: Place, say: Say) -> Iterator[None]:
    """Say what is written of each epoch, once."""
    over, seen = threading.Event(), [len(place.metrics())]

    def look() -> None:
        rows = place.metrics()
        for row in rows[seen[0] :]:
            reached = f", {row['val_top1']:.2%} of the validation images right" if "val_top1" in row else ""
            say(f"epoch {row['epoch']}: loss {row['loss']:.4f}{reached}")
        seen[0] = max(seen[0], len(rows))

    def follow() -> None:
        while not over.wait(_LOOK_SECONDS):
            look()

    thread = threading.Thread(target=follow, name="convlens-follow", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        look()
