"""What a training is made of, before there is a run: data, preprocessing, network, loaders and step."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from convlens import networks, runs
from convlens.data import Augmentation, Dataset, Loader, open_dataset
from convlens.images import Preprocessing
from convlens.training.batch_choice import with_fitting_batch
from convlens.training.capacity import with_fitting_mixing
from convlens.training.config import TrainConfig
from convlens.training.distillation import load_teacher
from convlens.training.input_choice import choose_preprocessing, preprocessing_of, weights_file
from convlens.training.speed.numerics import prepare_device
from convlens.training.step import Step
from convlens.training.team import ALONE, Team

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Material:
    """Data and network on their device, and how a step is done, in float32 until numerics are chosen.

    `config` is the one that was given, with what the data decided.
    """

    config: TrainConfig
    dataset: Dataset
    preprocessing: Preprocessing
    choice: runs.NetworkChoice
    network: nn.Module
    train_loader: Loader
    val_loader: Loader | None
    step: Step
    device: torch.device


def gather(config: TrainConfig, say: Say, folder: runs.RunFolder | None = None, team: Team = ALONE) -> Material:
    """Open the data and build the network.

    Args:
        config: the training.
        say: takes notes for the user.
        folder: the run that goes on, whose network and preprocessing are taken; None decides on new ones.
        team: who shares the batches.

    Raises:
        ConvlensError: data, network, size or batch that cannot be trained with.
    """
    networks.card(config.network)  # a misspelt name is said before the data is read
    device = team.device(config.device)
    prepare_device(device)
    dataset = _open_data(config, say)
    team.check_same("data set", dataset.fingerprint())
    if folder is None:
        preprocessing = choose_preprocessing(config, dataset, preprocessing_of(config))
        choice = _choice(config, dataset, preprocessing)
        network = _fresh_network(choice, config)
        images = len(dataset.records("train"))
        config = with_fitting_mixing(with_fitting_batch(config, network, images, say), network, images, say)
    else:
        _check_same_data(config, dataset, folder)
        preprocessing, choice = folder.preprocessing, folder.description.network
        network = _fresh_network(choice, config)
    train_loader, val_loader = _loaders(config, dataset, preprocessing, team.data_share)
    return Material(
        config=config,
        dataset=dataset,
        preprocessing=preprocessing,
        choice=choice,
        network=network.to(device=device, memory_format=torch.channels_last),  # type: ignore[call-overload]
        train_loader=train_loader,
        val_loader=val_loader,
        step=_step(config, dataset, preprocessing, device),
        device=device,
    )


def _check_same_data(config: TrainConfig, dataset: Dataset, folder: runs.RunFolder) -> None:
    if dataset.fingerprint() != folder.fingerprint or dataset.classes != folder.classes:
        raise runs.RunError(
            f"{config.data} is not the data that {folder.path} was trained on (fingerprint "
            f"{dataset.fingerprint()[:12]}, the run's {folder.fingerprint[:12]}); give that data, or start a new run"
        )


def _choice(config: TrainConfig, dataset: Dataset, preprocessing: Preprocessing) -> runs.NetworkChoice:
    return runs.NetworkChoice(
        name=config.network,
        classes=len(dataset.classes),
        channels=preprocessing.channels,
        size=preprocessing.size,
        dropout=config.dropout,
    )


def _open_data(config: TrainConfig, say: Say) -> Dataset:
    dataset = open_dataset(config.data, max_bad=config.max_bad, exclude=config.exclude, columns=config.columns)
    for note in dataset.notes:
        say(note)
    if dataset.bad_files:
        first = dataset.bad_files[0]
        say(f"{len(dataset.bad_files)} unreadable files are left out (bad_files.csv); the first: {first.reason}")
    return dataset if config.mirrors is None else replace(dataset, mirrors=config.mirrors)


def _loaders(
    config: TrainConfig, dataset: Dataset, preprocessing: Preprocessing, share: tuple[int, int]
) -> tuple[Loader, Loader | None]:
    train = Loader(
        dataset,
        "train",
        preprocessing,
        batch_size=config.images_per_step,
        augmentation=augmentation_of(config, dataset, preprocessing),
        seed=config.seed,
        sampling="balanced" if config.balance == "sampling" else "shuffled",
        repeats=config.repeats,
        workers=config.workers,
        cache=config.cache,
        max_bad=config.max_bad,
        share=share,
    )
    if not dataset.splits.get("val"):
        return train, None
    batch_size = max(config.images_per_step, 64)
    return train, Loader(
        dataset,
        "val",
        preprocessing,
        batch_size=batch_size,
        workers=config.workers,
        cache=config.cache,
        share=share,
    )


def augmentation_of(config: TrainConfig, dataset: Dataset, preprocessing: Preprocessing) -> Augmentation:
    """What a training changes on its images."""
    usual = Augmentation.usual_for(dataset, preprocessing.size) if config.augment == "auto" else Augmentation()
    return replace(
        usual,
        policy=None if config.policy == "none" else config.policy,
        upright=not dataset.mirrors,  # what is told from its mirror image is mostly told from itself turned, too
        brightness=config.jitter,
        contrast=config.jitter,
        saturation=config.jitter if preprocessing.channels == 3 else 0.0,
        mixup=config.mixup,
        cutmix=config.cutmix,
        erasing=config.erasing,
    )


def _fresh_network(choice: runs.NetworkChoice, config: TrainConfig) -> nn.Module:
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
