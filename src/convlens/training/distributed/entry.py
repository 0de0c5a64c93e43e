"""What every process of a training does, whoever launched it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from convlens import runs
from convlens.data.reaching import is_address
from convlens.errors import ConvlensError
from convlens.training.config import TrainConfig
from convlens.training.distributed.launch import Place, launched
from convlens.training.distributed.meeting import join, meet
from convlens.training.distributed.ranks import Ranks, device_of
from convlens.training.distributed.shared_trouble import SharedTrouble
from convlens.training.progress import Silence, Watcher
from convlens.training.remote_runs import fetched
from convlens.training.settings import settle
from convlens.training.train import Outcome, go_on, start


def run_rank(given: Mapping[str, Any], *, resume: str | Path | None = None, watcher: Watcher | None = None) -> Outcome:
    """Be one process of a training; the launcher's variables say which (RANK, WORLD_SIZE, MASTER_ADDR, or Slurm's).

    Args:
        given: settings, as `settle` takes them; the same in every process.
        resume: the run folder to go on with, or its address; None begins a new one.
        watcher: is told what happens, in this process; None for nobody.

    Returns:
        The run, the same folder in every process, and the signal that stopped it.

    Raises:
        TeamError: what stopped any of the processes, in all of them.
        ConvlensError: no launcher; or the processes do not find each other, or are not of one kind.
    """
    place = launched()
    if place is None:
        raise ConvlensError("this process was started alone; start several with torchrun, or leave the launcher out")
    store = meet(place)
    watcher = watcher or Silence()
    trouble = SharedTrouble(store, place.rank, place.size, outlives=dist.is_initialized())
    ours = False
    with trouble.shared():
        device = device_of(str(given.get("device") or "auto"), place)
        control, ours = join(place, store, device)
        config = Ranks(place, device, control, synchronise=False).first(lambda: _config(given, resume))
        team = _team(config, place, device, control)
        outcome = start(config, watcher, team) if resume is None else go_on(resume, given, watcher, team)
    if ours:
        dist.destroy_process_group()
    return outcome


def _team(config: TrainConfig, place: Place, device: torch.device, control: dist.ProcessGroup) -> Ranks:
    """How the processes divide the work."""
    # torch's parts for these take seconds to import.
    if config.pipeline > 1:
        from convlens.training.distributed.pipelined import PipelinedRanks

        return PipelinedRanks(place, device, control, config)
    if config.shard:
        from convlens.training.distributed.sharded import ShardedRanks

        return ShardedRanks(place, device, control, config)
    return Ranks(place, device, control, synchronise=config.sync_batch_norm)


def _config(given: Mapping[str, Any], resume: str | Path | None) -> TrainConfig:
    if resume is None:
        config = settle(given)
        return replace(config, memory_format="contiguous") if config.shard else config
    here = fetched(str(resume), keep=False, only="run.yaml") if is_address(resume) else resume
    return TrainConfig.from_dict(runs.open_folder(here, weights=False).config)
