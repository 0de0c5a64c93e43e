"""Colours of the roles, for light and dark; chosen to differ in lightness too, for those who do not see the hue."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Colours:
    """Fill, line and text of a role, as #rrggbb."""

    fill: str
    line: str
    text: str


def fill_of(role: str, shade: float | None) -> str:
    """The colour of a cell; one too small for its number shows its shade, tinted where the window lies.

    >>> fill_of("input", None), fill_of("input", 1.0), fill_of("window", 0.0)
    ('#dbe9fb', '#ffffff', '#946a2e')
    """
    colours = ROLES[role]
    if shade is None:
        return colours.fill
    tint = 0.6 if role in ("window", "chosen", "current") else 0.0
    mixed = [round(tint * int(colours.fill[i : i + 2], 16) + (1 - tint) * 255 * shade) for i in (1, 3, 5)]
    return "#" + "".join(f"{level:02x}" for level in mixed)


BACKGROUND = "#ffffff"

ROLES = {
    "input": Colours("#dbe9fb", "#7fa6d6", "#14304f"),
    "padding": Colours("#ffffff", "#c3c9d1", "#9aa3ad"),
    "window": Colours("#f6b04d", "#a8650a", "#3a2200"),
    "chosen": Colours("#c2410c", "#7c2d12", "#ffffff"),
    "kernel": Colours("#fdf0da", "#d9a755", "#5a3a05"),
    "waiting": Colours("#f4f6f5", "#d3dad7", "#f4f6f5"),
    "output": Colours("#cdeedd", "#67ad8b", "#0c3b25"),
    "current": Colours("#1f9d63", "#0c5a36", "#ffffff"),
    "title": Colours("", "", "#27313d"),
    "sign": Colours("", "", "#27313d"),
    "sum": Colours("", "", "#27313d"),
}
