"""The effective receptive field: how much each pixel really moves a unit (Luo et al. 2016, "Understanding the Effective
Receptive Field in Deep Convolutional Neural Networks")."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from convlens.errors import ConvlensError
from convlens.graph import Ref
from convlens.graph.operators import Convolution, Norm, arguments_of, family, origin, plain

if TYPE_CHECKING:
    from convlens.anatomy.anatomy import Anatomy
    from convlens.anatomy.receptive import Places, ReceptiveField

_TWO_SIGMA = 0.9545


@dataclass(frozen=True)
class EffectiveField:
    """Measured influence of every pixel on one unit.

    Attributes:
        field: the theoretical receptive field of the same unit.
        magnitude: (H, W), mean over images and channels of |∂ unit / ∂ pixel|, scaled to a largest value of 1.
        images: over how many images.
        inside: fraction of the energy (squared magnitude) inside the theoretical field without gates; 1 where there are
            no gates.
        silent: parameters that are all zero, on the way to the unit: what they scale does not reach it before training,
            as in a residual branch whose last normalisation starts at zero.
        area: smallest fraction of the theoretical field's pixels that holds 95.45 % of the energy, two standard
            deviations of Luo's Gaussian.
    """

    field: "ReceptiveField"
    magnitude: NDArray[np.float64]
    images: int
    inside: float
    area: float
    silent: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON; without the array."""
        return {"images": self.images, "inside": self.inside, "area": self.area, "silent": list(self.silent)}

    def __str__(self) -> str:
        text = (
            f"effective, over {self.images} images: {self.inside:.1%} of the energy inside the theoretical field; "
            f"95.45 % of it on {self.area:.1%} of its area"
        )
        if self.silent:
            more = f" and {len(self.silent) - 1} more" if len(self.silent) > 1 else ""
            text += f"\n{self.silent[0]}{more}: all zero, so the branches that they scale add nothing yet; train first"
        return text


def effective_receptive_field(
    sheet: "Anatomy",
    at: str,
    unit: Sequence[int] | None = None,
    *,
    images: Any = None,
    count: int = 16,
    seed: int = 0,
) -> EffectiveField:
    """Measure the influence of every pixel on one unit of a module's output, by gradients.

    Args:
        sheet: the anatomy of a module with real weights and one image as its input.
        at: a module's path, or `path:1` for the second tensor that it returns.
        unit: row and column; the middle by default.
        images: (N, C, H, W) or (C, H, W) as the network gets them; standard normal noise if None.
        count, seed: number of noise images, and where their noise begins.

    Raises:
        ConvlensError: the module has no weights, `at` is not a module, or the images do not fit.
    """
    field = sheet.receptive_field(at, unit)
    pictures = _pictures(sheet, images, count, seed)
    axes = [axis - 1 for axis in sheet.receptive_fields.image_axes()]  # of one picture
    others = [axis for axis in range(pictures.ndim - 1) if axis not in axes]
    places = sheet.receptive_fields.places(at)
    batch = sheet.input_shapes[0][0]
    total = torch.zeros([pictures.shape[axis + 1] for axis in axes], dtype=torch.float64)
    for picture in pictures:
        several = picture.expand(batch, *picture.shape)
        total += _gradient(sheet.module, at, places, field.unit, several).abs().sum(0).sum(others).double()
    magnitude = total / total.max() if total.max() > 0 else total
    array: NDArray[np.float64] = magnitude.numpy()
    inside, area = _shares(array, field.local)
    return EffectiveField(field, array, len(pictures), inside, area, silent_parameters(sheet, at))


def _pictures(sheet: "Anatomy", images: Any, count: int, seed: int) -> torch.Tensor:
    shapes = sheet.input_shapes
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ConvlensError(f"effective fields are measured for one image as input, not for {shapes}")
    if any(parameter.device.type == "meta" for parameter in sheet.module.parameters()):
        raise ConvlensError("the module has no weights (meta device), so nothing can be measured; build it for real")
    if images is None:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn((count, *shapes[0][1:]), generator=generator)
    pictures = torch.as_tensor(images).float()
    pictures = pictures[None] if pictures.ndim == 3 else pictures
    if pictures.shape[1:] != shapes[0][1:]:
        raise ConvlensError(f"images of shape {tuple(pictures.shape)} do not fit the inspected {shapes[0]}")
    return pictures


def _gradient(
    module: nn.Module, at: str, places: "Places", unit: tuple[int, ...], picture: torch.Tensor
) -> torch.Tensor:
    """The gradient of one unit, summed over its channels, with respect to the picture."""
    path, colon, number = at.rpartition(":")
    if not colon or not number.isdigit():
        path, number = at, "0"
    try:
        layer = module.get_submodule(path)
    except AttributeError:
        raise ConvlensError(f"{at!r} is an operation; effective fields are measured at modules") from None
    kept: list[torch.Tensor] = []
    parameter = next(module.parameters(), picture)
    picture = picture.to(parameter.device, parameter.dtype).requires_grad_()
    modes = [(each, each.training) for each in module.modules()]
    hook = layer.register_forward_hook(lambda *given: kept.extend(_tensors(given[2])) if not kept else None)
    try:
        module.eval()
        with torch.enable_grad():
            module(picture)
            made = kept[int(number)]
            (gradient,) = torch.autograd.grad(_unit(made, places, unit), picture)
    finally:
        hook.remove()
        for each, mode in modes:
            each.training = mode
    return gradient.cpu()


def _unit(made: torch.Tensor, places: "Places", unit: tuple[int, ...]) -> torch.Tensor:
    """The unit's value, summed over everything that is not a place: channels, wherever they stand, and windows."""
    made = made.reshape(places.sizes)
    for axis, index in zip(places.axes, unit, strict=True):
        made = made.narrow(axis, index, 1)
    return made.sum()


def silent_parameters(sheet: "Anatomy", at: str) -> tuple[str, ...]:
    """Names of the parameters that scale something before the tensor `at` and are all zero."""
    graph = sheet.graph
    last = graph.tensors[sheet.receptive_fields.tensor(at)[1]].producer
    found: dict[str, None] = {}
    for operation in graph.operations[: 0 if last is None else last + 1]:
        layer, norm = Convolution.of(operation), Norm.of(operation)
        factors = [layer.weight] if layer else [norm.weight] if norm else []
        if plain(operation.kind) == "mul" or family(operation) == "product":
            given = arguments_of(operation)
            added = {"bias"} | ({"self"} if {"mat1", "batch1", "mat"} & given.keys() else set())  # it scales nothing
            factors = [ref.tensor for name, ref in given.items() if isinstance(ref, Ref) and name not in added]
        for index in factors:
            tensor = None if index is None else graph.tensors[origin(graph, index)]
            if tensor is not None and tensor.role == "parameter" and not bool(tensor.value.any()):  # type: ignore[union-attr]
                found[tensor.name] = None
    return tuple(found)


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [tensor for each in value.values() for tensor in _tensors(each)]
    return [tensor for each in value for tensor in _tensors(each)] if isinstance(value, list | tuple) else []


def _shares(magnitude: NDArray[np.float64], field: "ReceptiveField") -> tuple[float, float]:
    energy = magnitude**2
    if field.rows is None or field.columns is None or energy.sum() == 0:
        return 0.0, 0.0
    (top, bottom), (left, right) = field.rows, field.columns
    window = energy[top : bottom + 1, left : right + 1]
    held = np.cumsum(np.sort(window.ravel())[::-1]) / max(float(window.sum()), 1e-300)
    pixels = int(np.searchsorted(held, _TWO_SIGMA)) + 1
    return min(1.0, float(window.sum() / energy.sum())), min(pixels, window.size) / window.size
