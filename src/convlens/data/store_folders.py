"""Where stores lie, how much they may take, and which are removed when that is exceeded."""

from collections.abc import Mapping
from typing import Any

from convlens.data.kept_folders import budget, bytes_in, hold, make_room
from convlens.data.store import Store, settings_key
from convlens.files import cache_folder

_PIXELS = "*.pixels"


class LockedStore(Store):
    """A store that nobody removes while it is open."""

    def __init__(self, settings: Mapping[str, Any], *, max_bytes: int | None = None) -> None:
        root = cache_folder() / "images"
        folder = root / settings_key(settings)
        held = hold(folder)
        allowed = budget(root, _PIXELS) if max_bytes is None else max_bytes
        make_room(root, keep=folder, allowed=allowed, pattern=_PIXELS)
        others = bytes_in(root, _PIXELS) - bytes_in(folder, _PIXELS)
        super().__init__(folder, max_bytes=max(0, allowed - others))
        if held is not None:
            self._open.append(held)
