"""Large bodies are parsed beside the event loop, one after the other."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from convlens.serving.uploads import Upload, parse

# What is smaller takes less time than handing it to a thread.
_SMALL = 100_000


class Reading:
    """Parses bodies; the large ones in a thread of its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parse")

    async def uploads(self, pieces: Sequence[bytes], content_type: str | None, *, max_files: int) -> list[Upload]:
        """Find the images in a body that came in pieces.

        Raises:
            RefusalError: as `parse` does.
        """
        if sum(map(len, pieces)) <= _SMALL:
            return parse(b"".join(pieces), content_type, max_files=max_files)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._thread, lambda: parse(b"".join(pieces), content_type, max_files=max_files)
        )

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)
