"""Layers into layers: what a kernel can do on the way is no step of its own."""

from collections.abc import Callable

import numpy as np

from convlens.engine.draft import Draft, Layer

_WITH_WEIGHTS = ("convolution", "linear")
_WITH_ACTIVATION = ("convolution", "linear", "scale_shift", "binary")


def fuse(draft: Draft) -> Draft:
    """Take norms, activations, residual additions, gates and global averages into the layers beside them."""
    for rule in (
        _vectors_as_linear,
        _thin_into_stride,
        _pad,
        _scale_into_weights,
        _activation,
        _residual,
        _activation,
        _gate,
    ):
        _apply(draft, rule)
    _apply(draft, _average)
    draft.drop_unused()
    return draft


Rule = Callable[[Draft, Layer, dict[int, Layer], "dict[int, list[Layer]]"], bool]


def _apply(draft: Draft, rule: Rule) -> None:
    """Apply a rule to every layer until nothing changes; a rule says whether it took the layer into another."""
    again = True
    while again:
        again = False
        made_by, readers = _tables(draft)
        for layer in list(draft.layers):
            if rule(draft, layer, made_by, readers):
                draft.layers.remove(layer)
                again = True
                made_by, readers = _tables(draft)


def _tables(draft: Draft) -> tuple[dict[int, Layer], dict[int, list[Layer]]]:
    """Who makes each value and who reads it; being an output is one reader more."""
    readers = draft.readers()
    for output in draft.outputs:
        readers.setdefault(output, []).append(Layer(op="output", values={}))
    return draft.producers(), readers


def _alone(number: int, readers: dict[int, list[Layer]]) -> bool:
    return len(readers.get(number, ())) == 1


def _take(into: Layer, layer: Layer) -> None:
    """`into` makes what `layer` made."""
    into.values["y"] = layer.y
    into.names += layer.names


def _vectors_as_linear(draft: Draft, layer: Layer, _made: dict[int, Layer], _readers: dict[int, list[Layer]]) -> bool:
    """A 1×1 convolution of a vector is a matrix product."""
    x = draft.values[layer.x] if layer.op == "convolution" else None
    if x is not None and x.is_vector and layer.settings["kernel"] == [1, 1] and layer.settings["groups"] == 1:
        if any(layer.settings["padding"]):
            return False
        layer.op, layer.settings = "linear", {}
        layer.weights["weight"] = layer.weights["weight"][:, :, 0, 0]
    return False


def _thin_into_stride(_draft: Draft, layer: Layer, _made: dict[int, Layer], readers: dict[int, list[Layer]]) -> bool:
    """Every second place before a 1×1 convolution is its stride."""
    if layer.op != "pool" or layer.settings["kernel"] != [1, 1] or not _alone(layer.y, readers):
        return False
    (reader,) = readers[layer.y]
    if reader.op in ("pool", "convolution") and reader.settings["kernel"] == [1, 1] and reader.x == layer.y:
        if any(reader.settings["padding"]):
            return False
        strides = zip(layer.settings["stride"], reader.settings["stride"], strict=True)
        reader.settings["stride"] = [one * two for one, two in strides]
        reader.values["x"] = layer.x
        reader.names = layer.names + reader.names
        return True
    return False


def _pad(_draft: Draft, layer: Layer, _made: dict[int, Layer], readers: dict[int, list[Layer]]) -> bool:
    """Zeros around a map before convolutions, which can pad by themselves, more on one side too."""
    if layer.op != "pad" or layer.settings["value"] != 0 or min(layer.settings["padding"]) < 0:
        return False
    if not all(each.op == "convolution" and each.x == layer.y for each in readers[layer.y]):
        return False
    for reader in readers[layer.y]:
        both = zip(reader.settings["padding"], layer.settings["padding"], strict=True)
        reader.settings["padding"] = [one + two for one, two in both]
        reader.values["x"] = layer.x
        reader.names = layer.names + reader.names
    return True


def _scale_into_weights(_draft: Draft, layer: Layer, made: dict[int, Layer], readers: dict[int, list[Layer]]) -> bool:
    """A number times and plus a number for each channel, after a layer with weights: other weights."""
    before = made.get(layer.x) if layer.op == "scale_shift" else None
    if before is None or before.op not in (*_WITH_WEIGHTS, "scale_shift") or not _alone(layer.x, readers):
        return False
    if "activation" in before.settings or "residual" in before.values:
        return False
    scale, shift = layer.weights["weight"].astype(np.float64), layer.weights["bias"].astype(np.float64)
    weight = before.weights["weight"].astype(np.float64)
    before.weights["weight"] = (weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))).astype(np.float32)
    bias = before.weights.get("bias")
    before.weights["bias"] = (shift if bias is None else bias * scale + shift).astype(np.float32)
    if "activation" in layer.settings:
        before.settings["activation"] = layer.settings["activation"]
    _take(before, layer)
    return True


def _activation(_draft: Draft, layer: Layer, made: dict[int, Layer], readers: dict[int, list[Layer]]) -> bool:
    before = made.get(layer.x) if layer.op == "unary" else None
    if before is None or before.op not in _WITH_ACTIVATION or before.y != layer.x or not _alone(layer.x, readers):
        return False
    if "activation" in before.settings or "pool" in before.values:
        return False
    before.settings |= layer.settings
    _take(before, layer)
    return True


def _residual(draft: Draft, layer: Layer, made: dict[int, Layer], readers: dict[int, list[Layer]]) -> bool:
    """An addition after a convolution: done while its result is in registers."""
    if layer.op != "binary" or layer.settings["kind"] != "add":
        return False
    for mine, theirs in ((layer.x, layer.values["other"]), (layer.values["other"], layer.x)):
        before = made.get(mine)
        if before is None or before.op != "convolution" or before.y != mine or not _alone(mine, readers):
            continue
        if draft.values[mine] != draft.values[theirs] or mine == theirs or not _takes_residual(draft, before):
            continue
        before.settings["residual_after"] = "activation" in before.settings
        before.values["residual"] = theirs
        if "activation" in layer.settings:
            if before.settings["residual_after"]:
                continue
            before.settings |= {
                name: layer.settings[name] for name in ("activation", "slope") if name in layer.settings
            }
        _take(before, layer)
        # it runs where the addition did: by then what is added is there
        draft.layers.remove(before)
        draft.layers.insert(draft.layers.index(layer), before)
        return True
    return False


def _takes_residual(draft: Draft, layer: Layer) -> bool:
    return "residual" not in layer.values and "pool" not in layer.values and not _is_special(draft, layer)


def _is_special(draft: Draft, layer: Layer) -> bool:
    """A first layer, which reads the images as they come, or a depthwise one: their kernels do nothing else."""
    groups = layer.settings["groups"]
    return layer.x == draft.input or groups == draft.values[layer.x].channels == draft.values[layer.y].channels


def _gate(draft: Draft, layer: Layer, _made: dict[int, Layer], readers: dict[int, list[Layer]]) -> bool:
    """A factor for each channel before a convolution (squeeze-and-excitation)."""
    if layer.op != "binary" or layer.settings != {"kind": "multiply"} or not _alone(layer.y, readers):
        return False
    gate = draft.values[layer.values["other"]]
    (reader,) = readers[layer.y]
    if reader.op != "convolution" or reader.x != layer.y or "gate" in reader.values or _is_special(draft, reader):
        return False
    if not gate.is_vector or draft.values[layer.x].is_vector or reader.settings["groups"] != 1:
        return False
    if any(value == layer.y for name, value in reader.values.items() if name != "x"):
        return False
    reader.values |= {"x": layer.x, "gate": layer.values["other"]}
    reader.names = layer.names + reader.names
    return True


def _average(draft: Draft, layer: Layer, made: dict[int, Layer], readers: dict[int, list[Layer]]) -> bool:
    """The mean over the map, summed up while the map is made."""
    if layer.op != "adaptive_pool" or layer.settings["kind"] != "average" or not draft.values[layer.y].is_vector:
        return False
    before = made.get(layer.x)
    if before is None or before.op != "convolution" or before.y != layer.x or "pool" in before.values:
        return False
    if before.x == draft.input or draft.values[layer.x].is_vector:
        return False
    before.values["pool"] = layer.y
    before.names += layer.names
    if _alone(layer.x, readers) and not _is_special(draft, before):
        before.settings["store"] = False
    return True
