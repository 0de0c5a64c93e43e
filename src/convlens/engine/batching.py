"""The last layers, on vectors, run once for all images of a call, so that their weights are read once."""

import numpy as np

from convlens.engine.draft import BLOCK, Draft, Layer

_ABLE = ("linear", "unary", "scale_shift", "binary", "softmax")


def rows_of_a_batch(draft: Draft) -> tuple[list[int], dict[int, int]]:
    """Let the last layers run for a whole batch.

    Returns:
        The values that are rows of a batch; and value -> the map whose bytes it is, for maps that were made vectors.
    """
    last = _last_layers(draft)
    made_there = {value for layer in last for value in layer.writes}
    rows = [value for value in made_there if value not in draft.outputs]
    aliases: dict[int, int] = {}
    entering = dict.fromkeys(value for layer in last for value in layer.reads if value not in made_there)
    for value in entering:
        row = _copied(draft, last, value, aliases)
        rows.append(row)
    return rows, aliases


def _last_layers(draft: Draft) -> list[Layer]:
    """As many layers from the end as can run for a batch; none if nothing among them has weights."""
    found: list[Layer] = []
    for layer in reversed(draft.layers):
        is_answer = layer.op == "convert" and layer.y in draft.outputs
        vectors = all(draft.values[value].is_vector for value in layer.reads)
        flattens = layer.op == "linear" and draft.values[layer.x].channels % BLOCK == 0
        if not ((is_answer and vectors) or (layer.op in _ABLE and (vectors or flattens))):
            break
        found.append(layer)
    return found[::-1] if any(layer.op == "linear" for layer in found) else []


def _copied(draft: Draft, last: list[Layer], value: int, aliases: dict[int, int]) -> int:
    """Write a value into the rows of the batch before the last layers begin."""
    shape = draft.values[value]
    readers = [layer for layer in last if value in layer.reads]
    source = value
    if not shape.is_vector:  # the same bytes as a vector, and the weights in the order of the bytes
        source = draft.value(shape.channels * shape.height * shape.width, 1, 1, as_map=True)
        aliases[source] = value
        places = np.arange(draft.values[source].channels)
        blocks = places.reshape(shape.channels // BLOCK, BLOCK, shape.height, shape.width)
        order = blocks.transpose(0, 2, 3, 1).reshape(-1)
        for layer in readers:
            layer.weights["weight"] = layer.weights["weight"][:, order]
    row = draft.value(draft.values[source].channels, 1, 1, as_map=draft.values[source].as_map)
    for layer in readers:
        layer.values = {name: row if each == value else each for name, each in layer.values.items()}
    copy = Layer(op="unary", values={"x": source, "y": row}, settings={"activation": "none"}, names=("copy",))
    draft.layers.insert(draft.layers.index(last[0]), copy)
    return row
