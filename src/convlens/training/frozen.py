"""A training's first part, in which the body of the network stays as it is: the probe, and epochs of the head alone."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from convlens.data import Dataset, Loader
from convlens.evaluation import Evaluation, summarise
from convlens.training.config import TrainConfig
from convlens.training.features import Body, Features
from convlens.training.probing import Probe, fit_probe

_MOST_VIEWS = 4  # of each image; later frozen epochs see them again
_MOST_BYTES = 1_000_000_000  # of features that are held in memory


@dataclass(frozen=True, kw_only=True, eq=False)
class Frozen:
    """What the body makes of the images, for as long as it does not learn.

    Attributes:
        body: the network up to its last layer.
        plain: features of the training images as they are, for the probe.
        train: those of augmented views, for epochs in which the head alone learns; None where images must be seen anew
            each time: where two are mixed, where a teacher looks at them, or where the features would not fit.
        val: those of the validation images; None without such.
    """

    body: Body
    plain: Features
    train: Features | None
    val: Features | None

    def evaluation(self, network: nn.Module, dataset: Dataset, device: torch.device) -> Evaluation | None:
        """What a network with this body, and a head of its own, reaches on the validation images."""
        if self.val is None:
            return None
        x_ND, _ = self.val.whole(device)
        return summarise(dataset, "val", self._probabilities(network, x_ND).cpu().numpy())

    def begin_with_probe(self, network: nn.Module, config: TrainConfig, device: torch.device) -> tuple[Probe, float]:
        """Give a network with this body the head of a linear probe.

        Returns:
            The probe, and the mean log loss of the training images.
        """
        x_ND, y_N = self.plain.whole(device)
        classes = self.body.head.out_features
        balanced = config.balance != "none"
        probe = fit_probe(x_ND.cpu().numpy(), y_N.cpu().numpy(), classes, balanced=balanced, seed=config.seed)
        with torch.no_grad():
            self.body.head.weight.copy_(torch.from_numpy(probe.weight))
            if self.body.head.bias is not None:
                self.body.head.bias.copy_(torch.from_numpy(probe.bias))
        p_N = self._probabilities(network, x_ND)[torch.arange(len(y_N)), y_N]
        return probe, float(-p_N.clamp_min(1e-12).log().mean())

    @torch.inference_mode()
    def _probabilities(self, network: nn.Module, x_ND: Tensor) -> Tensor:
        scores: Tensor = network.get_submodule(self.body.name)(x_ND)
        return scores.float().softmax(dim=1)


def frozen_part(
    config: TrainConfig, body: Body | None, train: Loader, val: Loader | None, dataset: Dataset
) -> Frozen | None:
    """What a training needs for its first part, if it has one and the network a body."""
    if body is None or not (config.probe or config.freeze_epochs):
        return None
    plain = Loader(dataset, "train", train.preprocessing, batch_size=64, workers=config.workers, cache=config.cache)
    bytes_a_view = 4 * len(plain.records) * body.head.in_features
    views = min(_MOST_VIEWS, config.freeze_epochs, _MOST_BYTES // bytes_a_view)
    mixes = train.augmentation is not None and train.augmentation.mixes
    anew = mixes or config.teacher is not None or views < 1
    return Frozen(
        body=body,
        plain=Features(body, plain),
        train=None if anew else Features(body, train, views=views),
        val=None if val is None else Features(replace(body, precision="float32"), _undivided(val)),  # as validation
    )


def _undivided(loader: Loader) -> Loader:
    """The same evaluation loader for one process, which sees every image."""
    if loader.share[1] == 1:
        return loader
    return Loader(loader.dataset, "val", loader.preprocessing, batch_size=loader.batch_size, workers=loader.workers)
