"""A network as boxes and arrows: modules in the order of what they need, shortcuts and branches as edges."""

import html
from dataclasses import dataclass
from pathlib import Path

from convlens.anatomy.anatomy import Anatomy
from convlens.errors import ConvlensError
from convlens.files import write_text
from convlens.quantities import count, shape

_HEIGHT, _GAP, _ROW, _LETTER = 44, 26, 86, 7.6
_NARROWEST, _WIDEST = 250, 460  # boxes are as wide as the longest name within these; longer ones are set closer


@dataclass(frozen=True, kw_only=True)
class Box:
    """One box: an input, a call of a module, or an operation between modules.

    Attributes:
        title, text: what it says.
        rank: how many boxes lie before it on the longest way from an input.
        before: numbers of the boxes that it takes tensors from.
        shape: of the tensor that it gives.
    """

    title: str
    text: str
    rank: int
    before: tuple[int, ...]
    shape: tuple[int, ...]


def boxes(sheet: Anatomy, depth: int) -> tuple[Box, ...]:
    """The network's boxes: modules at `depth`, or above it where there is nothing inside; operations outside of them.

    Views and what has no tensor of the input behind it, such as a transposed weight, are no boxes of their own.
    """
    graph = sheet.graph
    owner: dict[int, int] = {}  # tensor → the box that it comes from
    found: list[Box] = []
    members: dict[object, int] = {}
    for index in graph.inputs:
        owner[index] = len(found)
        given = graph.tensors[index]
        found.append(Box(title=given.name, text="", rank=0, before=(), shape=given.shape))
    for row in sheet.rows:
        if row.operation is None:
            continue
        operation = graph.operations[row.operation]
        before = [owner[index] for index in operation.inputs if index in owner]
        if not before:
            continue
        chain = [operation.call]
        while (parent := graph.calls[chain[-1]].parent) is not None:
            chain.append(parent)
        level = min(depth, len(chain) - 1)
        call = chain[len(chain) - 1 - level]
        key: object = ("call", call) if level else ("operation", operation.index)
        outer = len(chain) - 1 == level and level > 0 and _has_inner(sheet, call) and level < depth
        if outer:
            key = ("operation", operation.index)
        if key not in members and row.is_view and key == ("operation", operation.index):
            number = before[0]
        else:
            number = members.setdefault(key, len(found))
            if number == len(found):
                module = graph.calls[call]
                whole = key == ("call", call)
                title = (module.path or sheet.name) if whole else row.name
                text = module.kind if whole else row.kind
                found.append(Box(title=title, text=text, rank=0, before=(), shape=row.shape))
            box = found[number]
            sources = tuple(dict.fromkeys((*box.before, *(each for each in before if each != number))))
            rank = max((found[each].rank + 1 for each in sources), default=0)
            found[number] = Box(title=box.title, text=box.text, rank=rank, before=sources, shape=row.shape or box.shape)
        for index in (*operation.outputs, *(after for _, after in operation.writes)):
            owner[index] = number
    return tuple(found)


def _has_inner(sheet: Anatomy, call: int) -> bool:
    return any(each.parent == call for each in sheet.graph.calls)


def branching_depth(sheet: Anatomy) -> int:
    """The first depth at which shortcuts or branches are seen, such as 3 of a ResNet's blocks; 1 if there are none."""
    deepest = max((node.depth for node in sheet.modules if node.calls), default=1)
    several = (depth for depth in range(1, deepest + 1) if any(len(box.before) > 1 for box in boxes(sheet, depth)))
    return next(several, 1)


def draw_graph(sheet: Anatomy, path: str | Path, *, depth: int | None = None) -> None:
    """Write the boxes and arrows as .svg, or as .dot for Graphviz, by default so deep that shortcuts are seen.

    Raises:
        ConvlensError: another suffix.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".svg", ".dot"):
        raise ConvlensError(f"cannot draw {path}: the name must end in .svg or .dot")
    found = boxes(sheet, branching_depth(sheet) if depth is None else depth)
    write_text(Path(path), _svg(sheet, found) if suffix == ".svg" else _dot(sheet, found))


def _dot(sheet: Anatomy, found: tuple[Box, ...]) -> str:
    lines = [
        f"digraph {_quoted(sheet.name)} {{",
        "  node [shape=box, fontname=sans]; edge [fontname=sans, fontsize=10];",
    ]
    for number, box in enumerate(found):
        lines.append(f"  n{number} [label={_quoted(box.title + (chr(10) + box.text if box.text else ''))}];")
        lines += [f"  n{each} -> n{number} [label={_quoted(shape(found[each].shape))}];" for each in box.before]
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _svg(sheet: Anatomy, found: tuple[Box, ...]) -> str:
    """From top to bottom by rank; an edge that passes boxes runs between the ranks to a lane of its own beside them."""
    longest = max(_LETTER * max(len(box.title), len(_second_line(box))) for box in found)
    box_width = round(min(max(_NARROWEST, longest + 20), _WIDEST))
    ranks: dict[int, list[int]] = {}
    for number, box in enumerate(found):
        ranks.setdefault(box.rank, []).append(number)
    across = max(len(each) for each in ranks.values())
    place = {
        number: (column * (box_width + _GAP) + (across - len(row)) * (box_width + _GAP) / 2, rank * _ROW)
        for rank, row in ranks.items()
        for column, number in enumerate(row)
    }
    lanes: list[int] = []  # the rank at which each lane is free again
    parts, right = [], across * (box_width + _GAP)
    for number, box in enumerate(found):
        for each in box.before:
            (x0, y0), (x1, y1) = place[each], place[number]
            start, end = (x0 + box_width / 2, y0 + _HEIGHT), (x1 + box_width / 2, y1)
            if box.rank - found[each].rank > 1:
                lane = next((k for k, free in enumerate(lanes) if free <= found[each].rank), len(lanes))
                lanes[lane : lane + 1] = [box.rank]
                x = right + 14 * (lane + 1)
                leaves, arrives = start[1] + 10 + 3 * (lane % 4), end[1] - 13 - 3 * (lane % 4)
                way = f"M{start[0]} {start[1]} V{leaves} H{x} V{arrives} H{end[0]} V{end[1]}"
            else:
                middle = (start[1] + end[1]) / 2
                way = f"M{start[0]} {start[1]} C{start[0]} {middle} {end[0]} {middle} {end[0]} {end[1]}"
            name = html.escape(f"{found[each].title} → {box.title}: {shape(found[each].shape)}")
            parts.append(f'<path class="edge" d="{way}" marker-end="url(#arrow)"><title>{name}</title></path>')
    parts += [_box(box, *place[number], box_width) for number, box in enumerate(found)]
    name = f"{sheet.name}: {count(sheet.parameters)} parameters, {count(sheet.macs)} MACs"
    width, height = max(right + 14 * (len(lanes) + 2), 9 * len(name)), (max(ranks) + 1) * _ROW
    title = html.escape(name)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-20 -50 {width + 40} {height + 60}" width="{width + 40}" '
        f'height="{height + 60}" font-family="sans-serif" font-size="13"><title>{title}</title>'
        "<style>.edge{fill:none;stroke:#1f4e79;stroke-width:1.3}rect{fill:#eaf2fa;stroke:#1f4e79}</style>"
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#1f4e79"/></marker></defs>'
        f'<rect x="-20" y="-50" width="{width + 40}" height="{height + 60}" style="fill:#fff;stroke:none"/>'
        f'<text x="0" y="-22" font-size="16">{title}</text>{"".join(parts)}</svg>\n'
    )


def _box(box: Box, x: float, y: float, width: int) -> str:
    lines = (box.title, 18, ' font-weight="600"'), (_second_line(box), 35, ' fill="#444"')
    texts = (
        f'<text x="8" y="{place}"{look}{_fitted(text, width - 16)}>{html.escape(text)}</text>'
        for text, place, look in lines
    )
    return f'<g transform="translate({x} {y})"><rect width="{width}" height="{_HEIGHT}" rx="5"/>{"".join(texts)}</g>'


def _second_line(box: Box) -> str:
    return f"{box.text}  {shape(box.shape)}".strip()


def _fitted(text: str, width: int) -> str:
    return f' textLength="{width}" lengthAdjust="spacingAndGlyphs"' if _LETTER * len(text) > width + 10 else ""
