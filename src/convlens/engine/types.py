"""Which numbers have the precision of maps: those of maps, and of vectors that come from maps without a sum."""

from dataclasses import replace

from convlens.engine.draft import Draft, Layer

_SUMS = ("adaptive_pool", "linear")  # their results are float32 in every precision


def settle_types(draft: Draft) -> None:
    """Decide the precision of vectors, and convert where two of different precision meet."""
    for layer in list(draft.layers):
        parts = layer.settings.get("parts", [layer.x])
        from_maps = any(not draft.values[part].is_wide for part in parts)
        if draft.values[layer.y].is_vector and layer.y not in draft.outputs:
            draft.values[layer.y] = replace(draft.values[layer.y], as_map=from_maps and layer.op not in _SUMS)
        _convert_operands(draft, layer)


def _convert_operands(draft: Draft, layer: Layer) -> None:
    """What is added to a vector, multiplied with it or put beside it has its precision."""
    wanted = draft.values[layer.y]
    if not wanted.is_vector or layer.op in _SUMS:
        return
    for name in ("x", "other", "residual") if layer.op == "binary" else ("residual",):
        value = layer.values.get(name)
        if value is not None and draft.values[value].is_vector and draft.values[value].as_map != wanted.as_map:
            layer.values[name] = _converted(draft, layer, value, as_map=wanted.as_map)
    if "parts" in layer.settings:
        layer.settings["parts"] = [
            part if draft.values[part].as_map == wanted.as_map else _converted(draft, layer, part, as_map=wanted.as_map)
            for part in layer.settings["parts"]
        ]


def _converted(draft: Draft, before: Layer, value: int, *, as_map: bool) -> int:
    y = draft.value(draft.values[value].channels, 1, 1, as_map=as_map)
    draft.layers.insert(
        draft.layers.index(before), Layer(op="convert", values={"x": value, "y": y}, names=("convert",))
    )
    return y
