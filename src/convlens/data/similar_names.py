"""Names that a person takes for the same."""

from collections import defaultdict
from collections.abc import Sequence
from unicodedata import category, normalize


def look_alike_names(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Groups of names that differ only in case, spaces, hyphens, underscores, what no screen shows, or how their
    accents are spelt.

    >>> look_alike_names(["cat", "Cat", "dog", "black_dog", "Black Dog"])
    [('cat', 'Cat'), ('black_dog', 'Black Dog')]
    """
    spelt: dict[str, list[str]] = defaultdict(list)
    for name in names:
        plain = normalize("NFKC", normalize("NFKC", name).casefold())
        shown = "".join(" " if c in "_-" else c for c in plain if category(c) != "Cf")
        spelt["".join(shown.split())].append(name)
    return [tuple(group) for group in spelt.values() if len(group) > 1]
