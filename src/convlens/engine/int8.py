"""int8: which products are of whole numbers, and which values between them are kept as such.

Weights are int8 with a scale for each channel of the result; what they are multiplied with is uint8 with a scale and a
zero point from calibration; sums are int32, exact, and become real at once. Depthwise convolutions, the layers on
vectors (squeeze-and-excitation, the classifier) and the first layer compute as in the other precisions: they are a
small share of the work and a large one of the error.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from convlens.engine.calibration import Factor, Observed, observe
from convlens.engine.draft import Draft, Float, Layer, Scale

_LARGEST = 127  # of a weight; -128 is not used, so that both signs reach as far


def quantise(draft: Draft, images_NCHW: Float) -> None:
    """Turn products of a fused draft into products of whole numbers.

    Args:
        draft: is changed.
        images_NCHW: preprocessed images, whose activations decide the scales.
    """
    products = [layer for layer in draft.layers if _is_product(draft, layer)]
    kept = _kept(draft, products)
    factors: list[Factor] = [(layer.x, layer.values.get("gate")) for layer in products]
    factors += [(value, None) for value in kept]
    observed = observe(draft, list(dict.fromkeys(factors)), images_NCHW)
    for layer in products:
        _round_weights(layer, observed[layer.x, layer.values.get("gate")])
    _keep_whole(draft, kept, observed)
    _bring(draft, products, observed)


def is_depthwise(draft: Draft, layer: Layer) -> bool:
    """Whether every channel of a convolution is by itself."""
    return bool(layer.settings["groups"] == draft.values[layer.x].channels == draft.values[layer.y].channels)


def _is_product(draft: Draft, layer: Layer) -> bool:
    if layer.op != "convolution" or layer.x == draft.input or draft.values[layer.x].is_vector:
        return False
    return not is_depthwise(draft, layer)


def _kept(draft: Draft, products: Sequence[Layer]) -> list[int]:
    """The values that only products read, or maxima whose own results only products read: they are made as uint8."""
    readers = draft.readers()
    takes = {id(layer) for layer in products if "gate" not in layer.values}

    def only_whole(value: int) -> bool:
        if value in draft.outputs or value not in readers or draft.values[value].is_vector:
            return False
        return all(
            (id(layer) in takes and value in (layer.x, layer.values.get("residual")))
            or (layer.op == "pool" and layer.settings["kind"] == "max" and only_whole(layer.y))
            for layer in readers[value]
        )

    kept: list[int] = []
    for layer in draft.layers:
        able = layer.x in kept if layer.op == "pool" else layer.op == "convolution" and _can_make(draft, layer)
        if able and only_whole(layer.y):
            kept.append(layer.y)
    return kept


def _can_make(draft: Draft, layer: Layer) -> bool:
    """Whether a convolution can write whole numbers, which one in real numbers can if its kernel is a special one."""
    if layer.x == draft.input:
        return draft.begins_with_convolutions()
    special = is_depthwise(draft, layer) and layer.settings["kernel"][0] <= 32
    return special or _is_product(draft, layer)


def _keep_whole(draft: Draft, kept: Sequence[int], observed: dict[Factor, Observed]) -> None:
    """Give values their scales; a maximum has that of what it reads."""
    made_by = draft.producers()
    for value in kept:
        layer = made_by[value]
        scale = draft.values[layer.x].scale if layer.op == "pool" else observed[value, None].scale()
        draft.values[value] = replace(draft.values[value], scale=scale)


def _round_weights(layer: Layer, x: Observed) -> None:
    """Scales for int8 weights; what rounding them does to the mean of each channel is taken out of the bias.

    Nagel et al. (2019), Data-free quantization through weight equalization and bias correction, section 4.2; the means
    are measured here.
    """
    weight = layer.weights["weight"]
    largest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    scale = (np.maximum(largest, 1e-12) / _LARGEST).astype(np.float32)
    by_channel = scale.reshape(-1, 1, 1, 1)
    rounded = np.clip(np.rint(weight / by_channel), -_LARGEST, _LARGEST) * by_channel
    lost = (weight - rounded).sum(axis=(2, 3), dtype=np.float64)  # (O, I / groups)
    groups = layer.settings["groups"]
    means = np.repeat(x.mean.reshape(groups, -1), len(weight) // groups, axis=0)
    bias = layer.weights.get("bias", np.zeros(len(weight), np.float32))
    layer.weights["bias"] = (bias + (lost * means).sum(axis=1)).astype(np.float32)
    layer.weights["weight_scale"] = scale
    layer.settings["compute"] = "int8"


def _bring(draft: Draft, products: Sequence[Layer], observed: dict[Factor, Observed]) -> None:
    """Where a product reads real numbers, it brings them to a scale itself; for several readers it is done once."""
    readers = draft.readers()
    whole: dict[int, int] = {}
    for layer in products:
        value, gate = layer.x, layer.values.get("gate")
        if draft.values[value].scale is not None:
            continue
        scale = observed[value, gate].scale()
        beside = sum(each in products and each.x == value and "gate" not in each.values for each in readers[value])
        if gate is None and (value in whole or beside > 1 or _widens(draft, layer, readers)):
            if value not in whole:
                whole[value] = _converted(draft, layer, value, scale)
            layer.values["x"] = whole[value]
        else:
            layer.settings |= {"scale": scale.step, "zero_point": scale.zero_point}


def _widens(draft: Draft, layer: Layer, readers: dict[int, list[Layer]]) -> bool:
    """Whether a depthwise convolution alone follows, with which it can become one step."""
    after = readers.get(layer.y, [])
    return len(after) == 1 and after[0].op == "convolution" and is_depthwise(draft, after[0])


def _converted(draft: Draft, before: Layer, value: int, scale: Scale) -> int:
    shape = draft.values[value]
    y = draft.value(shape.channels, shape.height, shape.width)
    draft.values[y] = replace(draft.values[y], scale=scale)
    convert = Layer(op="convert", values={"x": value, "y": y}, names=("to uint8",))
    draft.layers.insert(draft.layers.index(before), convert)
    return y
