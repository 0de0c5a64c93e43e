"""Decoding off the event loop, by a bounded number of threads, large images apart from small ones."""

import queue
import threading
import time
from collections.abc import Callable

from convlens.errors import ConvlensError
from convlens.images import ImageError, Preprocessing, TooManyPixelsError
from convlens.serving.jobs import Job

# Larger images take a lane of their own, one at a time, so that no number of them delays the others.
LARGE_PIXELS = 4_000_000
LARGE_BYTES = 8_000_000


class Decoders:
    """Threads that turn uploads into what the network takes.

    Args:
        preprocessing: from an image to the network's input.
        threads: how many images of usual size are decoded at the same time.
        max_pixels: images that declare more are refused before they are decoded.
        on_decoded: called, in a decoding thread, with a job whose tensor is there.
        on_failed: called, in a decoding thread, with a job and why it cannot be decoded;
            an exception if that is a fault of ours.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        *,
        threads: int,
        max_pixels: int,
        on_decoded: Callable[[Job], None],
        on_failed: Callable[[Job, str | Exception], None],
    ) -> None:
        self._preprocessing = preprocessing
        self._max_pixels = max_pixels
        self._on_decoded = on_decoded
        self._on_failed = on_failed
        self._lock = threading.Lock()
        self._under_way = 0  # images of usual size, waiting or being decoded
        self._usual: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._large: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(
                target=self._work, args=(self._usual, self._first_look), name=f"decode-{number}", daemon=True
            )
            for number in range(threads)
        ]
        self._large_thread = threading.Thread(
            target=self._work, args=(self._large, self._second_look), name="decode-large", daemon=True
        )
        for thread in (*self._threads, self._large_thread):
            thread.start()

    @property
    def under_way(self) -> int:
        """How many images of usual size are about to be decoded."""
        return self._under_way

    def submit(self, job: Job) -> None:
        """Take an image."""
        self._count(+1)
        self._usual.put(job)

    def close(self) -> None:
        """Finish what was submitted, then end the threads."""
        for _ in self._threads:
            self._usual.put(None)
        for thread in self._threads:
            thread.join()
        self._large.put(None)
        self._large_thread.join()

    def _work(self, jobs: "queue.SimpleQueue[Job | None]", step: Callable[[Job], None]) -> None:
        while (job := jobs.get()) is not None:
            try:
                step(job)
            except ConvlensError as error:
                self._on_failed(job, str(error))
            except MemoryError:
                self._on_failed(job, "the image needs more memory than the server has; shrink it")
            except Exception as error:  # ours: the request gets 500, and the thread lives on
                self._on_failed(job, error)

    def _first_look(self, job: Job) -> None:
        try:
            if len(job.upload.content) > LARGE_BYTES:
                self._large.put(job)
            else:
                self._decode(job, min(LARGE_PIXELS, self._max_pixels))
        except TooManyPixelsError:
            self._large.put(job)
        finally:
            self._count(-1)

    def _second_look(self, job: Job) -> None:
        self._decode(job, self._max_pixels)

    def _decode(self, job: Job, max_pixels: int) -> None:
        if job.ticket.abandoned:
            raise ImageError("the request was given up before the image was decoded")
        began = time.perf_counter()
        job.x_CHW = self._preprocessing.open(job.upload.content, max_pixels=max_pixels)
        job.decoding_s = time.perf_counter() - began
        self._on_decoded(job)

    def _count(self, change: int) -> None:
        with self._lock:
            self._under_way += change
