"""A training made ready: data, network, optimiser and run folder, for a fresh start or to go on with a run."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from convlens import networks, runs
from convlens.anatomy import inspect
from convlens.data import Dataset, Loader
from convlens.data.reaching import is_address
from convlens.errors import ConvlensError
from convlens.networks.catalogue import family_of
from convlens.runs import environment
from convlens.training.averaging import AverageWeights
from convlens.training.config import TrainConfig
from convlens.training.features import Body
from convlens.training.frozen import Frozen, frozen_part
from convlens.training.material import Material, Say, gather
from convlens.training.optimisers import body_that_learns, let_learn, make_optimizer
from convlens.training.remote_runs import new_folder, unused_name
from convlens.training.speed.choosing import choose_numerics
from convlens.training.speed.numerics import Chosen, Numerics, lay_out
from convlens.training.speed.trial import in_parts_that_fit, try_step
from convlens.training.state import State, load_checkpoint
from convlens.training.step import Step
from convlens.training.step_memory import parts_that_fit
from convlens.training.team import ALONE, Team

# what may differ when a run is resumed: none of it touches results
_FREE_ON_RESUME = frozenset(
    {"data", "columns", "exclude", "max_bad", "device", "workers", "cache", "log"}
    | {"checkpoint_seconds", "checkpoint_steps", "schedule"}
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that the training loop needs."""

    config: TrainConfig
    folder: runs.RunFolder
    dataset: Dataset
    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: AverageWeights | None
    numerics: Numerics
    step: Step
    train_loader: Loader
    val_loader: Loader | None
    frozen: Frozen | None
    device: torch.device
    team: Team

    @property
    def parts(self) -> dict[str, Any]:
        """What a checkpoint holds the state of, besides the state itself."""
        parts: dict[str, Any] = {"network": self.network, "optimizer": self.optimizer}
        if self.average is not None:
            parts["average"] = self.average
        if self.step.scaler is not None:
            parts["scaler"] = self.step.scaler
        return parts

    @property
    def kept_network(self) -> nn.Module:
        """The network whose weights are evaluated and kept: the average, where there is one."""
        return self.network if self.average is None else self.average.network

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of the modules that give one output a class."""
        return heads_of(self.config, self.network)

    @property
    def total_steps(self) -> int:
        """Steps of the whole training."""
        return self.config.epochs * self.train_loader.steps


def heads_of(config: TrainConfig, network: nn.Module) -> tuple[str, ...]:
    """Names of the modules that give one output a class, the last layer first."""
    return family_of(networks.card(config.network)).heads_of(network)


def prepare(config: TrainConfig, say: Say, team: Team = ALONE) -> tuple[Job, State]:
    """Make a new training ready, and its run folder as the last thing, so that wrong input leaves none behind.

    Raises:
        ConvlensError: data, network, size or batch that cannot be trained with.
    """
    if team.size == 1 and (config.pipeline > 1 or config.shard):
        what = f"pipeline is {config.pipeline}" if config.pipeline > 1 else "shard is set"
        raise ConvlensError(
            f"{what} and one process was started; start more: torchrun --nproc-per-node 4 -m convlens …"
        )
    material = gather(config, say, team=team)
    config = material.config
    numerics = team.first(lambda: _numerics(config, material, say, divided=team.splits_network))
    numerics = replace(numerics, device=str(material.device))
    folder = team.first(lambda: _new_folder(config, material, numerics))
    if not is_address(config.runs):
        team.check_shared(folder.path)
    return _assemble(config, folder, material, numerics, team), _fresh_state(material.device, numerics)


def _new_folder(config: TrainConfig, material: Material, numerics: Numerics) -> runs.RunFolder:
    description = runs.Description(
        name=config.name or material.dataset.name,
        created=environment.now(),
        network=material.choice,
        classes=material.dataset.classes,
        preprocessing=material.preprocessing,
        config=config.to_dict(),
        data=_summary(config, material.dataset),
        numerics=numerics.to_dict(),
        versions=environment.versions(),
        git_commit=environment.git_commit(),
    )
    parent, name = Path(config.runs), description.name
    if is_address(config.runs):
        parent, name = new_folder(), unused_name(config.runs, name)
    _check_space(parent, material.network)
    folder = runs.create_folder(parent, name, description)
    folder.write_bad_files([(bad.key, bad.reason) for bad in material.dataset.bad_files])
    folder.write_anatomy(inspect(material.network, (description.network.channels, *description.network.size)))
    return folder


def resume(path: Path, given: Mapping[str, Any], say: Say, team: Team = ALONE) -> tuple[Job, State]:
    """Make an interrupted training ready to go on exactly where its checkpoint was written.

    Args:
        path: the run folder.
        given: settings that the user gave again; those that touch results must be the run's own.
        say: takes notes for the user.
        team: who trains.

    Raises:
        ConvlensError: another data set, network or setting than the run's, or a folder that is not whole.
    """
    folder = runs.open_folder(path, weights=False)
    config = _same_config(folder, given)
    material = gather(config, say, folder, team)
    numerics = replace(Numerics(**folder.description.numerics), device=str(material.device))
    job = _assemble(config, folder, material, numerics, team)
    if not folder.checkpoint_path.exists():  # cut before the first checkpoint: the same start gives the same end
        return job, _fresh_state(material.device, numerics)
    parts = {name: team.whole(part) for name, part in job.parts.items()}
    return job, load_checkpoint(folder.checkpoint_path, parts, material.device)


def _numerics(config: TrainConfig, material: Material, say: Say, *, divided: bool) -> Numerics:
    """How to compute, and in how many parts a batch: predicted from the anatomy, timed, and tried."""
    batch = next(material.train_loader.epoch(0, device=material.device))
    body = Body.of(material.network, heads_of(config, material.network))
    if config.probe and body is None:
        if config.epochs == 0:
            raise ConvlensError(
                f"{config.network} has no single linear layer at its end to probe; use --recipe finetune"
            )
        say(f"no probe: {config.network} has no single linear layer at its end")
    features = _precision_of_features(config, body, batch.images)
    if config.epochs == 0 or divided:  # one process alone might not have the memory to try it
        first = replace(config, tune=False)
        found = choose_numerics(material.network, batch.images, batch.labels, first, material.step, steps=0, say=say)
        return replace(found, parts=config.accumulate, features=features)
    let_learn(material.network, body_that_learns(material.network, config))  # what does not learn costs no time
    predicted, needed, free = parts_that_fit(material.network, batch.images, config)
    if predicted > config.accumulate:
        say(
            f"a batch of {config.images_per_step} is computed in {predicted} parts: a step then needs "
            f"{needed / 1e9:.1f} GB of the {free / 1e9:.1f} GB that are free"
        )
    steps = config.epochs * material.train_loader.steps

    def attempt(parts: int) -> Numerics:
        images, labels = batch.images.chunk(parts)[0], batch.labels.chunk(parts)[0]
        found = choose_numerics(material.network, images, labels, config, material.step, steps=steps, say=say)
        try_step(material, config, found, batch, parts)
        return found

    numerics, parts = in_parts_that_fit(attempt, predicted, len(batch.labels), say)
    return replace(numerics, parts=parts, features=features)


def _precision_of_features(config: TrainConfig, body: Body | None, x_NCHW: Tensor) -> Chosen:
    """What a frozen body is computed in: what is named, else what is clearly faster."""
    if body is None or not (config.probe or config.freeze_epochs):
        return "float32"
    if config.precision == "auto":
        return body.fastest(x_NCHW).precision if config.tune else "float32"
    return "bfloat16" if config.precision == "bfloat16" else "float32"


def _check_space(folder: Path, network: nn.Module) -> None:
    """Say before the training that a disk is too full for what it will write."""
    there = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    # best and last; a checkpoint has weights and up to two moments of each, and replaces an older one; the report
    needed = 2 * weights + 2 * 3 * weights + 10_000_000
    free = shutil.disk_usage(there).free
    if free < needed:
        raise ConvlensError(
            f"{there} has {free / 1e6:,.0f} MB free and the run needs about {needed / 1e6:,.0f} MB; "
            "free some space or choose another folder with --runs"
        )


def _fresh_state(device: torch.device, numerics: Numerics) -> State:
    return State(loss_sum=torch.zeros((), dtype=torch.float64, device=device), parts=numerics.parts)


def _summary(config: TrainConfig, dataset: Dataset) -> runs.DataSummary:
    return runs.DataSummary(
        source=str(Path(config.data).resolve()) if Path(config.data).exists() else config.data,
        fingerprint=dataset.fingerprint(),
        splits={name: len(records) for name, records in dataset.splits.items()},
        bad_files=len(dataset.bad_files),
        notes=dataset.notes,
    )


def _assemble(config: TrainConfig, folder: runs.RunFolder, material: Material, numerics: Numerics, team: Team) -> Job:
    network = material.network
    lay_out(network, numerics.memory_format)
    body = Body.of(network, heads_of(config, network))
    body = body and replace(body, precision=numerics.features)
    average = AverageWeights(network, config.ema) if config.ema else None
    shape = (config.images_per_step, material.preprocessing.channels, *material.preprocessing.size)
    team.spread(network, average.network if average else None, shape)
    return Job(
        config=config,
        folder=folder,
        dataset=material.dataset,
        network=network,
        optimizer=make_optimizer(network, config),
        average=average,
        numerics=numerics,
        step=team.stepping(material.step.computed_as(numerics)),
        train_loader=material.train_loader,
        val_loader=material.val_loader,
        frozen=frozen_part(config, body, material.train_loader, material.val_loader, material.dataset),
        device=material.device,
        team=team,
    )


def _same_config(folder: runs.RunFolder, given: Mapping[str, Any]) -> TrainConfig:
    """The run's configuration, with what the user may change; anything else must be what it was."""
    stored = TrainConfig.from_dict(folder.config)
    asked = TrainConfig.from_dict(dict(folder.config) | dict(given))
    for name in given:
        was, now = getattr(stored, name), getattr(asked, name)
        if was != now and name not in _FREE_ON_RESUME:
            raise runs.RunError(
                f"{folder.path} was made with {name}={was} and cannot go on with {name}={now}; "
                f"leave {name} out, or start a new run"
            )
    return asked
