"""One name, one meaning: no two modules share a name.

Except a command (what it takes, and its work), which has the name that people type, and a route of the explorer, which
has that of its page: the module whose work they show may be called the same.
"""

from collections import defaultdict
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "convlens"
NAMED_AFTER_WHAT_THEY_SHOW = ("cli", "commands", "explorer/api")


def test_no_two_modules_share_a_name():
    places = defaultdict(list)
    for path in SOURCE.rglob("*.py"):
        room = path.parent.relative_to(SOURCE).as_posix()
        if path.stem != "__init__" and room not in NAMED_AFTER_WHAT_THEY_SHOW:
            places[path.stem].append(room)
    assert {stem: rooms for stem, rooms in places.items() if len(rooms) > 1} == {}
