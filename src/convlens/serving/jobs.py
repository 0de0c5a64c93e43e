"""One image on its way through the server, and the request it belongs to."""

import asyncio
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.serving.uploads import Upload

Answer = dict[str, Any]  # {"file", "classes": [{"label", "probability"}]} or {"file", "error"}


class Job:
    """One image: first its bytes, then its tensor, then its answer.

    Attributes:
        upload: the image as sent; dropped once it is decoded.
        x_CHW: what the network takes, once decoded.
        decoding_s: seconds that took.
    """

    __slots__ = ("decoding_s", "position", "ticket", "upload", "x_CHW")

    def __init__(self, ticket: "Ticket", position: int, upload: Upload) -> None:
        self.ticket = ticket
        self.position = position
        self.upload = upload
        self.x_CHW: NDArray[np.float32] | None = None
        self.decoding_s = 0.0


class Ticket:
    """A request that waits for its images. Only the event loop changes it; threads read `abandoned` and `top`.

    Attributes:
        abandoned: nobody waits for the answers any more, so that no work need be done for them.
    """

    def __init__(self, count: int, top: int) -> None:
        self.top = top
        self.abandoned = False
        self.began = time.perf_counter()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answers: list[Answer | None] = [None] * count
        self._missing = count

    def answer(self, position: int, answer: Answer | Exception) -> None:
        """Take the answer of one image, or a fault of ours; wake the request with the last answer or first fault."""
        self._missing -= 1
        if self.done.done():
            return
        if isinstance(answer, Exception):
            self.done.set_exception(answer)
            return
        self.answers[position] = answer
        if not self._missing:
            self.done.set_result(None)
