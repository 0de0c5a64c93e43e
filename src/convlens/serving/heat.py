"""POST /explain: the heat of one image over it, computed beside the answers and never by more than one thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import TYPE_CHECKING

from convlens.errors import ConvlensError
from convlens.images import Preprocessing
from convlens.predicting.finite import NotFiniteError
from convlens.serving.refusals import RefusalError, overloaded

if TYPE_CHECKING:
    from convlens.explaining import Explainer

_MOST_WAITING = 8


class Heat:
    """Explains images one after the other.

    Args:
        preprocessing: from an image to the network's input.
        load: gives the explainer, with a copy of the network of its own; called with the first request.
        max_pixels: of one image.
        timeout_s: longest a request may take.
    """

    def __init__(
        self, preprocessing: Preprocessing, load: "Callable[[], Explainer]", *, max_pixels: int, timeout_s: float
    ) -> None:
        self._preprocessing = preprocessing
        self._load = load
        self._max_pixels = max_pixels
        self._timeout_s = timeout_s
        self._explainer: Explainer | None = None
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="explain")

    async def png(self, content: bytes, method: str | None, target: str | None) -> bytes:
        """The image with its heat, as a PNG.

        Raises:
            RefusalError: 400 no image, method or class; 429 too many wait; 504 it took too long.
        """
        if self._waiting >= _MOST_WAITING:
            raise overloaded(f"{self._waiting} images wait to be explained already; try again later", 1)
        self._waiting += 1
        work = asyncio.get_running_loop().run_in_executor(self._thread, self._png, content, method, target)
        work.add_done_callback(self._one_less)
        try:
            return await asyncio.wait_for(work, self._timeout_s)
        except TimeoutError:
            raise RefusalError(504, f"no explanation within {self._timeout_s:g} s; try another method") from None
        except NotFiniteError as error:
            raise RefusalError(500, str(error)) from None
        except ConvlensError as error:
            raise RefusalError(400, str(error)) from None

    def close(self) -> None:
        """End the thread once what it works on is done."""
        self._thread.shutdown(cancel_futures=True)

    def _one_less(self, _: object) -> None:
        self._waiting -= 1

    def _png(self, content: bytes, method: str | None, target: str | None) -> bytes:
        from convlens.explaining import as_seen, enlarged, overlay

        if self._explainer is None:
            self._explainer = self._load()
        explainer = self._explainer
        # In an address, + is a space: who writes ?method=gradcam++ sends this.
        chosen = method.replace(" ", "+") if method else explainer.default_method
        explainer.check(chosen, target)
        x_CHW = self._preprocessing.open(content, max_pixels=self._max_pixels)
        explanation = explainer(x_CHW, method=chosen, target=target)
        file = BytesIO()
        enlarged(overlay(as_seen(self._preprocessing, x_CHW), explanation.heat)).save(file, "png")
        return file.getvalue()
