"""A scene as SVG: one file that moves by itself, or the groups that a page switches on and off."""

from html import escape

from convlens.arithmetic.animation.colours import BACKGROUND, ROLES, fill_of
from convlens.arithmetic.animation.scene import Mark, Scene

SANS = "system-ui, 'DejaVu Sans', sans-serif"
MONO = "ui-monospace, 'DejaVu Sans Mono', monospace"
TEXT_ROLES = ("title", "sign", "sum")


def svg(picture: Scene, seconds_per_frame: float) -> str:
    """Draw a scene that plays for ever, by SMIL, so that it moves in an `<img>` too."""
    duration = len(picture.frames) * seconds_per_frame
    count = len(picture.frames)
    parts = [_opening(picture), group(picture.still)]
    for index, marks in enumerate(picture.kept):
        parts.append(group(marks, timing=_visible(index, count, count, duration), hidden=True))
    for index, marks in enumerate(picture.frames):
        parts.append(group(marks, timing=_visible(index, index + 1, count, duration), hidden=index > 0))
    return "\n".join([*parts, "</svg>", ""])


def numbered_svg(picture: Scene) -> str:
    """Draw a scene whose groups carry `data-frame` and `data-kept`, for a script to show and hide."""
    parts = [_opening(picture), group(picture.still)]
    parts += [group(marks, attributes=f'data-kept="{index}"') for index, marks in enumerate(picture.kept)]
    parts += [group(marks, attributes=f'data-frame="{index}"') for index, marks in enumerate(picture.frames)]
    return "\n".join([*parts, "</svg>"])


def group(marks: tuple[Mark, ...], *, timing: str = "", hidden: bool = False, attributes: str = "") -> str:
    """Draw marks as one group."""
    opening = "<g" + (f" {attributes}" if attributes else "") + (' visibility="hidden"' if hidden else "") + ">"
    return "".join([opening, timing, *map(_mark, marks), "</g>"])


def _opening(picture: Scene) -> str:
    rules = "".join(
        f".{role}{{fill:{c.fill};stroke:{c.line}}}.{role}-text{{fill:{c.text}}}" for role, c in ROLES.items() if c.fill
    )
    rules += "".join(f".{role}{{fill:{ROLES[role].text}}}" for role in TEXT_ROLES)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {picture.width} {picture.height}" '
        f'width="{picture.width}" height="{picture.height}" role="img">\n'
        f"<style>text{{font-family:{SANS};text-anchor:middle}}.title,.sum{{text-anchor:start}}"
        f".sum{{font-family:{MONO}}}.padding{{stroke-dasharray:3 2}}{rules}</style>\n"
        f'<rect width="100%" height="100%" fill="{BACKGROUND}"/>'
    )


def _visible(first: int, end: int, count: int, duration: float) -> str:
    """Show a group in frames `first` to `end` − 1 of every round."""
    if first == 0 and end == count:
        return '<set attributeName="visibility" to="visible"/>'
    times, values = [0.0], ["visible" if first == 0 else "hidden"]
    if first:
        times, values = [*times, first / count], [*values, "visible"]
    if end < count:
        times, values = [*times, end / count], [*values, "hidden"]
    return (
        f'<animate attributeName="visibility" calcMode="discrete" values="{";".join(values)}" '
        f'keyTimes="{";".join(f"{time:.6g}" for time in times)}" dur="{duration:g}s" repeatCount="indefinite"/>'
    )


def _mark(mark: Mark) -> str:
    if mark.role in TEXT_ROLES:
        return _text(mark.x, mark.y, mark.size, mark.text, mark.role)
    shade = "" if mark.shade is None else f' style="fill:{fill_of(mark.role, mark.shade)};stroke:none"'
    place = f'x="{mark.x:g}" y="{mark.y:g}" width="{mark.size:g}" height="{mark.size:g}"'
    box = f'<rect class="{mark.role}" {place}{shade}/>'
    middle, colour = mark.x + mark.size / 2, f"{mark.role}-text"
    if mark.text:
        size = letter_height(mark)
        box += _text(middle, mark.y + mark.size / 2 + size * 0.36, size, mark.text, colour)
    if mark.corner:
        right = mark.x + mark.size - 4 - 3 * len(mark.corner)
        box += _text(right, mark.y + mark.size - 4, mark.size * 0.23, mark.corner, colour)
    return box


def letter_height(mark: Mark) -> float:
    """Letters as high as the cell allows for the number of digits."""
    return round(min(mark.size * 0.4, mark.size * 1.5 / max(len(mark.text), 1)), 1)


def _text(x: float, y: float, size: float, words: str, role: str) -> str:
    return f'<text class="{role}" x="{x:g}" y="{y:g}" font-size="{size:g}">{escape(words)}</text>'
