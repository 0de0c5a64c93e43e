"""Pictures of an anatomy: the network with its sizes to scale, and a unit's receptive field on an image."""

from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

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
_SLANT = 0.35  # how far a slab reaches back, as a share of its height


def draw_network(sheet: "Anatomy", path: str | Path, *, depth: int = 1) -> None:
    """Draw the tensors that modules return as slabs: height the map's rows, thickness its channels, both to scale.

    Raises:
        ConvlensError: a suffix other than .png, .svg, .pdf, or a network without maps.
    """
    nodes = _changes([node for node in _shown(sheet.modules, depth) if len(node.shape) == 4])
    shapes = [(shape[1], shape[2]) for shape in sheet.input_shapes[:1] if len(shape) == 4]
    names = ["input"] * len(shapes) + [node.path for node in nodes]
    shapes += [(node.shape[1], node.shape[2]) for node in nodes]
    if not shapes:
        raise ConvlensError(f"{sheet.name} has no tensors with rows and columns, so there is no map to draw")
    figure, axes = _figure(max(7.0, 0.75 * len(shapes)), 4.0)
    tallest, widest = max(rows for _, rows in shapes), max(channels for channels, _ in shapes)
    place = 0.0
    for name, (channels, rows) in zip(names, shapes, strict=True):
        place = _slab(axes, place, channels / widest, rows / tallest, f"{name}\n{channels}×{rows}²")
    axes.set_xlim(-0.2, place)
    axes.set_ylim(-0.95, 0.9)
    axes.set_aspect("equal")
    axes.axis("off")
    title = f"{sheet.name}: {count(sheet.parameters)} parameters, {count(sheet.macs)} MACs"
    figure.suptitle(_lines(title, 80), fontsize=11)
    _save(figure, path)


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

    thick, back = max(thickness, 0.01), height * _SLANT
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
    figure, axes = _figure(5.6, 5.9)
    rows, columns = field.image
    axes.imshow(_background(image, rows, columns), extent=(-0.5, columns - 0.5, rows - 0.5, -0.5))
    if effective is not None:
        axes.imshow(effective.magnitude**0.5, cmap="magma", alpha=0.75, extent=(-0.5, columns - 0.5, rows - 0.5, -0.5))
    _frame(axes, field.everything, _FIELD, "everything" if field.gateless else "receptive field")
    if field.gateless is not None:
        _frame(axes, field.gateless, _LOCAL, "without gates")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=2, frameon=False, fontsize=8)
    local = field.local
    pattern = f"size {local.size}, stride {local.stride}" if local.regular else f"size {local.size}, {local.word}"
    pattern = f"{pattern}, at most" if local.bounds else pattern
    axes.set_title(_lines(f"{field.at or 'output'}, unit {field.unit}: {pattern}", 62), fontsize=10)
    _save(figure, path)


def _lines(text: str, width: int) -> str:
    """A title on as many lines as it needs, paths without spaces included."""
    return "\n".join(wrap(text, width, break_on_hyphens=False))


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
        figure.savefig(temporary, format=suffix[1:], dpi=150)
