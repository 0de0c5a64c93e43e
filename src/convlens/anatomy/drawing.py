"""A network as boxes and arrows: modules in the order of what they need, shortcuts and branches as edges."""

import html
from dataclasses import dataclass
from pathlib import Path

from convlens.anatomy.anatomy import Anatomy
from convlens.errors import ConvlensError
from convlens.files import write_text
from convlens.quantities import count, shape

_WIDTH, _HEIGHT, _GAP, _ROW = 250, 44, 26, 86


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


def draw_graph(sheet: Anatomy, path: str | Path, *, depth: int = 1) -> None:
    """Write the boxes and arrows as .svg, or as .dot for Graphviz.

    Raises:
        ConvlensError: another suffix.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".svg", ".dot"):
        raise ConvlensError(f"cannot draw {path}: the name must end in .svg or .dot")
    found = boxes(sheet, depth)
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
    """From top to bottom by rank; an edge that passes boxes runs beside them in a lane of its own."""
    ranks: dict[int, list[int]] = {}
    for number, box in enumerate(found):
        ranks.setdefault(box.rank, []).append(number)
    across = max(len(each) for each in ranks.values())
    place = {
        number: (column * (_WIDTH + _GAP) + (across - len(row)) * (_WIDTH + _GAP) / 2, rank * _ROW)
        for rank, row in ranks.items()
        for column, number in enumerate(row)
    }
    lanes: list[int] = []  # the rank at which each lane is free again
    parts, right = [], across * (_WIDTH + _GAP)
    for number, box in enumerate(found):
        for each in box.before:
            (x0, y0), (x1, y1) = place[each], place[number]
            start, end = (x0 + _WIDTH / 2, y0 + _HEIGHT), (x1 + _WIDTH / 2, y1)
            if box.rank - found[each].rank > 1:
                lane = next((k for k, free in enumerate(lanes) if free <= found[each].rank), len(lanes))
                lanes[lane : lane + 1] = [box.rank]
                x = right + 14 * (lane + 1)
                way = f"M{x0 + _WIDTH} {y0 + _HEIGHT / 2} H{x} V{y1 + _HEIGHT / 2} H{x1 + _WIDTH}"
            else:
                middle = (start[1] + end[1]) / 2
                way = f"M{start[0]} {start[1]} C{start[0]} {middle} {end[0]} {middle} {end[0]} {end[1]}"
            name = html.escape(f"{found[each].title} → {box.title}: {shape(found[each].shape)}")
            parts.append(f'<path class="edge" d="{way}" marker-end="url(#arrow)"><title>{name}</title></path>')
    parts += [_box(box, *place[number]) for number, box in enumerate(found)]
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


def _box(box: Box, x: float, y: float) -> str:
    title, text = html.escape(box.title), html.escape(f"{box.text}  {shape(box.shape)}".strip())
    fit = f' textLength="{_WIDTH - 16}" lengthAdjust="spacingAndGlyphs"'
    return (
        f'<g transform="translate({x} {y})"><rect width="{_WIDTH}" height="{_HEIGHT}" rx="5"/>'
        f'<text x="8" y="18" font-weight="600"{fit if len(box.title) > 30 else ""}>{title}</text>'
        f'<text x="8" y="35" fill="#444"{fit if len(text) > 34 else ""}>{text}</text></g>'
    )
