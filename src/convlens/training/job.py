"""A training made ready: data, network, optimiser and run folder, for a fresh start or to go on with a run."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convlens import networks, runs
from convlens.data import Augmentation, Dataset, Loader, open_dataset
from convlens.errors import ConvlensError
from convlens.evaluation import choose_device
from convlens.images import Preprocessing
from convlens.networks.catalogue import family_of
from convlens.runs import environment
from convlens.training.averaging import AverageWeights
from convlens.training.config import TrainConfig
from convlens.training.distillation import load_teacher
from convlens.training.inputs import choose_preprocessing, preprocessing_of, weights_file
from convlens.training.numerics import Numerics, choose_numerics, prepare_device
from convlens.training.optimisers import make_optimizer
from convlens.training.state import State, load_checkpoint
from convlens.training.step import Step
from convlens.training.trouble import parts_that_fit

Say = Callable[[str], None]

# what may differ when a run is resumed: none of it touches results
_FREE_ON_RESUME = frozenset({"data", "device", "workers", "max_bad", "checkpoint_seconds", "checkpoint_steps"})


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that the training loop needs."""

    config: TrainConfig
    folder: runs.RunFolder
    dataset: Dataset
    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: AverageWeights | None
    step: Step
    train_loader: Loader
    val_loader: Loader | None
    device: torch.device

    @property
    def parts(self) -> dict[str, Any]:
        """What a checkpoint holds the state of, besides the state itself."""
        parts: dict[str, Any] = {"network": self.network, "optimizer": self.optimizer}
        return parts if self.average is None else parts | {"average": self.average}

    @property
    def kept_network(self) -> nn.Module:
        """The network whose weights are evaluated and kept: the average, where there is one."""
        return self.network if self.average is None else self.average.network

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of the modules that give one output a class."""
        return family_of(networks.card(self.config.network)).heads

    @property
    def total_steps(self) -> int:
        """Steps of the whole training."""
        return self.config.epochs * self.train_loader.steps


def prepare(config: TrainConfig, say: Say) -> tuple[Job, State]:
    """Make a new training ready, and its run folder as the last thing, so that wrong input leaves none behind.

    Raises:
        ConvlensError: data, network, size or batch that cannot be trained with.
    """
    networks.card(config.network)  # a misspelt name is said before the data is read
    device = choose_device(config.device)
    prepare_device(device)
    dataset = _open_data(config, say)
    preprocessing = choose_preprocessing(config, dataset, preprocessing_of(config))
    choice = runs.NetworkChoice(
        name=config.network,
        classes=len(dataset.classes),
        channels=preprocessing.channels,
        size=preprocessing.size,
        dropout=config.dropout,
    )
    loaders = _loaders(config, dataset, preprocessing)
    network = fresh_network(choice, config).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    step = _step(config, dataset, preprocessing, device)
    batch = next(loaders[0].epoch(0, device=device))
    parts, needed, free = parts_that_fit(network, batch.images, config)
    if parts > config.accumulate:
        say(
            f"a batch of {config.batch} is computed in {parts} parts: a step then needs {needed / 1e9:.1f} GB of the "
            f"{free / 1e9:.1f} GB that are free"
        )
    numerics = choose_numerics(network, batch.images.chunk(parts)[0], batch.labels.chunk(parts)[0], config, step)
    description = runs.Description(
        name=config.name or dataset.name,
        created=environment.now(),
        network=choice,
        classes=dataset.classes,
        preprocessing=preprocessing,
        config=config.to_dict(),
        data=_summary(config, dataset),
        numerics=numerics.to_dict(),
        versions=environment.versions(),
        git_commit=environment.git_commit(),
    )
    _check_space(Path(config.runs), network)
    folder = runs.create_folder(config.runs, config.name or dataset.name, description)
    folder.write_bad_files([(bad.key, bad.reason) for bad in dataset.bad_files])
    job = _assemble(config, folder, dataset, network, loaders, step.in_precision(numerics.precision), device)
    return job, _fresh_state(device, parts)


def resume(path: str | Path, given: Mapping[str, Any], say: Say) -> tuple[Job, State]:
    """Make an interrupted training ready to go on exactly where its checkpoint was written.

    Args:
        path: the run folder.
        given: settings that the user gave again; those that touch results must be the run's own.
        say: takes notes for the user.

    Raises:
        ConvlensError: another data set, network or setting than the run's, or a folder that is not whole.
    """
    folder = runs.open_folder(path, weights=False)
    config = _same_config(folder, given)
    device = choose_device(config.device)
    prepare_device(device)
    dataset = _open_data(config, say)
    if dataset.fingerprint() != folder.fingerprint or dataset.classes != folder.classes:
        raise runs.RunError(
            f"{config.data} is not the data that {path} was trained on (fingerprint {dataset.fingerprint()[:12]}, "
            f"the run's {folder.fingerprint[:12]}); give that data, or start a new run"
        )
    numerics = Numerics(**folder.description.numerics)
    loaders = _loaders(config, dataset, folder.preprocessing)
    network = fresh_network(folder.description.network, config)
    network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    step = _step(config, dataset, folder.preprocessing, device).in_precision(numerics.precision)
    job = _assemble(config, folder, dataset, network, loaders, step, device)
    if not folder.checkpoint_path.exists():  # cut before the first checkpoint: the same start gives the same end
        return job, _fresh_state(device, config.accumulate)
    return job, load_checkpoint(folder.checkpoint_path, job.parts, device)


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


def _open_data(config: TrainConfig, say: Say) -> Dataset:
    dataset = open_dataset(config.data, max_bad=config.max_bad)
    for note in dataset.notes:
        say(note)
    if dataset.bad_files:
        first = dataset.bad_files[0]
        say(f"{len(dataset.bad_files)} unreadable files are left out (bad_files.csv); the first: {first.reason}")
    return dataset


def _loaders(config: TrainConfig, dataset: Dataset, preprocessing: Preprocessing) -> tuple[Loader, Loader | None]:
    train = Loader(
        dataset,
        "train",
        preprocessing,
        batch_size=config.batch,
        augmentation=_augmentation(config, dataset, preprocessing),
        seed=config.seed,
        sampling="balanced" if config.balance == "sampling" else "shuffled",
        repeats=config.repeats,
        workers=config.workers,
    )
    if not dataset.splits.get("val"):
        return train, None
    return train, Loader(dataset, "val", preprocessing, batch_size=max(config.batch, 64), workers=config.workers)


def _augmentation(config: TrainConfig, dataset: Dataset, preprocessing: Preprocessing) -> Augmentation:
    usual = Augmentation.usual_for(dataset, preprocessing.size) if config.augment == "auto" else Augmentation()
    return replace(
        usual,
        policy=None if config.policy == "none" else config.policy,
        brightness=config.jitter,
        contrast=config.jitter,
        saturation=config.jitter if preprocessing.channels == 3 else 0.0,
        mixup=config.mixup,
        cutmix=config.cutmix,
        erasing=config.erasing,
    )


def fresh_network(choice: runs.NetworkChoice, config: TrainConfig) -> nn.Module:
    """Initial weights depend on the seed alone, and the caller's random numbers are left as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return networks.create(
            choice.name,
            classes=choice.classes,
            channels=choice.channels,
            size=choice.size,
            dropout=choice.dropout,
            weights=weights_file(config),
        )


def _step(config: TrainConfig, dataset: Dataset, preprocessing: Preprocessing, device: torch.device) -> Step:
    class_weights = None
    if config.balance == "loss":
        counts = torch.tensor([max(1, count) for count in dataset.counts("train").values()], dtype=torch.float32)
        class_weights = (counts.sum() / (len(counts) * counts)).to(device)
    teacher = None
    if config.teacher is not None:
        teacher = load_teacher(config.teacher, dataset.classes, preprocessing, device)
    return Step.of(config, class_weights=class_weights, teacher=teacher)


def _fresh_state(device: torch.device, parts: int) -> State:
    return State(loss_sum=torch.zeros((), dtype=torch.float64, device=device), parts=parts)


def _summary(config: TrainConfig, dataset: Dataset) -> runs.DataSummary:
    return runs.DataSummary(
        source=config.data if config.data == "digits" else str(Path(config.data).resolve()),
        fingerprint=dataset.fingerprint(),
        splits={name: len(records) for name, records in dataset.splits.items()},
        bad_files=len(dataset.bad_files),
        notes=dataset.notes,
    )


def _assemble(
    config: TrainConfig,
    folder: runs.RunFolder,
    dataset: Dataset,
    network: nn.Module,
    loaders: tuple[Loader, Loader | None],
    step: Step,
    device: torch.device,
) -> Job:
    return Job(
        config=config,
        folder=folder,
        dataset=dataset,
        network=network,
        optimizer=make_optimizer(network, config),
        average=AverageWeights(network, config.ema) if config.ema else None,
        step=step,
        train_loader=loaders[0],
        val_loader=loaders[1],
        device=device,
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
