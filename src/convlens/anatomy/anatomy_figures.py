"""Pictures of an anatomy: the network with its sizes to scale, and a unit's receptive field on an image."""

from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from convlens.anatomy.drawing import Box, boxes, branching_depth
from convlens.anatomy.module_tree import ModuleNode
from convlens.errors import ConvlensError
from convlens.files import replacing
from convlens.quantities import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from convlens.anatomy.anatomy import Anatomy
    from convlens.anatomy.effective import EffectiveField
    from convlens.anatomy.receptive import ReceptiveField

SUFFIXES = (".png", ".svg", ".pdf")
_FACE, _EDGE, _FIELD, _LOCAL = "#8fb8de", "#1f4e79", "#d1495b", "#edae49"
_MOST = 40  # slabs that are drawn without being asked for
_THINNEST = 0.01
_SLANT = 0.35  # how far a slab reaches back, as a share of its height


def draw_network(sheet: "Anatomy", path: str | Path, *, depth: int | None = None) -> None:
    """Draw the tensors that modules return as slabs: height the map's rows, thickness its channels, both to scale.

    Shortcuts and branches are arcs over the slabs that they pass. By default it goes so deep that these are seen, or as
    deep as there is room for the slabs.

    Raises:
        ConvlensError: a suffix other than .png, .svg, .pdf, or a network without maps.
    """
    if depth is None:
        levels = range(branching_depth(sheet), 1, -1)
        depth = next((level for level in levels if len(_slabs(sheet, level)) <= _MOST), 1)
    slabs = _slabs(sheet, depth)
    if not slabs:
        raise ConvlensError(f"{sheet.name} has no tensors with rows and columns, so there is no map to draw")
    longest = max(len(name) for name, _ in slabs)
    names_take = 0.07 * max(0, longest - 14)  # inches, along the slant
    figure, axes = _figure(max(7.0, 0.75 * len(slabs)) + 0.5 * names_take, 4.0 + 0.87 * names_take)
    tallest, widest = max(each[2] for _, each in slabs), max(each[1] for _, each in slabs)
    place, tops = 0.0, {}
    for name, (_, channels, rows, columns) in slabs:
        size = f"{rows}²" if rows == columns else f"{rows}×{columns}"
        height = rows / tallest
        tops[name] = (place + (max(channels / widest, _THINNEST) + height * _SLANT) / 2, height * (0.5 + _SLANT) + 0.02)
        place = _slab(axes, place, channels / widest, height, f"{name}\n{channels}×{size}")
    highest = _arcs(axes, tops, boxes(sheet, depth))
    axes.set_xlim(-0.2, place)
    axes.set_ylim(-0.95, max(0.9, highest + 0.1))
    axes.set_aspect("equal")
    axes.axis("off")
    title = f"{sheet.name}: {count(sheet.parameters)} parameters, {count(sheet.macs)} MACs"
    figure.suptitle(_lines(title, 80), fontsize=11)
    _save(figure, path)


def _slabs(sheet: "Anatomy", depth: int) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes (N, C, H, W) of the maps to draw: the first input's, and what modules return."""
    nodes = _changes([node for node in _shown(sheet.modules, depth) if len(node.shape) == 4])
    given = [("input", shape) for shape in sheet.input_shapes[:1] if len(shape) == 4]
    return given + [(node.path, node.shape) for node in nodes]


def _arcs(axes: "Axes", tops: dict[str, tuple[float, float]], found: tuple[Box, ...]) -> float:
    """An arc for each tensor that passes drawn slabs, or meets another one behind a slab; returns how high they reach.

    Where tensors meet outside of what is drawn, as at the end of a shortcut, they meet behind the last of them.
    """
    from matplotlib.patches import FancyArrowPatch

    order = {name: number for number, name in enumerate(tops)}
    behind: list[str | None] = []  # for each box the drawn one that its tensor comes from, itself if it is drawn
    passing: dict[tuple[str, str], None] = {}
    for box in found:
        sources = {name for each in box.before if (name := behind[each]) is not None}
        drawn = box.title in order
        last = box.title if drawn else max(sources, key=order.__getitem__, default=None)
        behind.append(last)
        if last is not None:
            near = order[last] - 1 if drawn else order[last]
            passing |= {(each, last): None for each in sources if order[each] < near}
    highest = 0.0
    for one, other in passing:
        (x0, y0), (x1, y1) = tops[one], tops[other]
        rise = 0.08 + 0.05 * (order[other] - order[one])
        bend = -2 * rise / max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 0.01)
        look: Any = {"arrowstyle": "->", "mutation_scale": 7, "color": _EDGE, "linewidth": 0.8}
        axes.add_patch(FancyArrowPatch((x0, y0), (x1, y1), connectionstyle=f"arc3,rad={bend}", **look))
        highest = max(highest, max(y0, y1) + rise)
    return highest


def _shown(node: ModuleNode, depth: int) -> list[ModuleNode]:
    """The modules at `depth`, or above it where there is nothing inside."""
    called = [child for child in node.children if child.calls]
    if node.depth >= depth or not called:
        return [node] if node.path else []
    return [each for child in called for each in _shown(child, depth)]


def _changes(nodes: list[ModuleNode]) -> list[ModuleNode]:
    """Without normalisations and activations, which return what they got in the same shape."""
    kept: list[ModuleNode] = []
    for node in nodes:
        if not kept or node.macs or node.shape != kept[-1].shape:
            kept.append(node)
    return kept


def _slab(axes: "Axes", place: float, thickness: float, height: float, label: str) -> float:
    """One tensor; returns where the next one begins."""
    from matplotlib.patches import Polygon

    thick, back = max(thickness, _THINNEST), height * _SLANT
    low = -height / 2
    front = [(place, low), (place + thick, low), (place + thick, low + height), (place, low + height)]
    top = [front[3], front[2], (front[2][0] + back, front[2][1] + back), (place + back, front[3][1] + back)]
    side = [front[1], (front[1][0] + back, low + back), (front[2][0] + back, front[2][1] + back), front[2]]
    for corners, alpha in ((front, 1.0), (top, 0.6), (side, 0.4)):
        axes.add_patch(Polygon(corners, facecolor=_FACE, edgecolor=_EDGE, alpha=alpha, linewidth=0.7))
    axes.text(place + thick / 2, -0.58, label, rotation=60, ha="right", va="top", fontsize=7, rotation_mode="anchor")
    return place + thick + back + 0.14


def draw_field(
    field: "ReceptiveField", path: str | Path, *, image: Any = None, effective: "EffectiveField | None" = None
) -> None:
    """Draw the region of one unit on an image of (C, H, W) between 0 and 1, or on a blank one.

    Raises:
        ConvlensError: a suffix other than .png, .svg, .pdf, or a field that is not of an image.
    """
    if len(field.image) != 2:
        raise ConvlensError(f"there is no region to draw: {field}")
    rows, columns = field.image
    figure, axes = _figure(5.6, min(9.0, 1.2 + 5.0 * max(rows / columns, 0.2)))
    axes.imshow(_background(image, rows, columns), extent=(-0.5, columns - 0.5, rows - 0.5, -0.5))
    if effective is not None:
        axes.imshow(effective.magnitude**0.5, cmap="magma", alpha=0.75, extent=(-0.5, columns - 0.5, rows - 0.5, -0.5))
    _frame(axes, field.everything, _FIELD, "everything" if field.gateless else "receptive field")
    if field.gateless is not None:
        _frame(axes, field.gateless, _LOCAL, "without gates")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    local = field.local
    pattern = f"size {local.size}, stride {local.stride}" if local.regular else f"size {local.size}, {local.word}"
    pattern = f"{pattern}, at most" if local.bounds else pattern
    axes.set_title(_lines(f"{field.at or 'output'}, unit {field.unit}: {pattern}", 62), fontsize=10)
    _save(figure, path)


def _lines(text: str, width: int) -> str:
    """A title on as many lines as it needs; names without spaces are parted after an underscore."""
    lines = wrap(text.replace("_", "_\0 "), width, break_on_hyphens=False)
    return "\n".join(line.replace("\0 ", "").removesuffix("\0") for line in lines)


def _background(image: Any, rows: int, columns: int) -> Any:
    if image is None:
        return np.full((rows, columns, 3), 0.93)
    picture = np.asarray(image).transpose(1, 2, 0)
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else np.clip(picture[:, :, :3], 0, 1)


def _frame(axes: "Axes", field: "ReceptiveField", colour: str, label: str) -> None:
    from matplotlib.patches import Rectangle

    if field.rows is None or field.columns is None:
        return
    (top, bottom), (left, right) = field.rows, field.columns
    corner, width, height = (left - 0.5, top - 0.5), right - left + 1, bottom - top + 1
    axes.add_patch(
        Rectangle(corner, width, height, fill=False, edgecolor=colour, linewidth=2.5, label=label, clip_on=False)
    )


def _figure(width: float, height: float) -> tuple["Figure", "Axes"]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _save(figure: "Figure", path: str | Path) -> None:
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ConvlensError(f"cannot draw {path}: the name must end in {', '.join(SUFFIXES)}")
    with replacing(path) as temporary:
        figure.savefig(temporary, format=suffix[1:], dpi=150, bbox_inches="tight", pad_inches=0.1)
