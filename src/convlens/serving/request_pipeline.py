"""Admission, decoding, batching, answers: the way of every image, and the bound on how many are on it."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from convlens.predicting.finite import NotFiniteError
from convlens.predicting.settled import Settled
from convlens.serving.decoding import Decoders
from convlens.serving.dynamic_batching import Batcher
from convlens.serving.jobs import Answer, Job, Ticket
from convlens.serving.measurements import Measurements
from convlens.serving.refusals import RefusalError, overloaded
from convlens.serving.uploads import Upload


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a pipeline takes on.

    Args:
        batch: most images in one pass through the network.
        max_delay_s: longest an image waits for companions.
        queue: images held at most, decoded or not.
        decoders: threads that decode images of usual size.
        max_pixels: of one image.
        timeout_s: longest a request may take.
    """

    batch: int
    max_delay_s: float
    queue: int
    decoders: int
    max_pixels: int
    timeout_s: float


class Pipeline:
    """Answers images. Made and used inside a running event loop; its threads do the work.

    Args:
        settled: the network.
        limits: how much it takes on.
        measurements: where it counts.
    """

    def __init__(self, settled: Settled, limits: Limits, measurements: Measurements) -> None:
        self.limits = limits
        self.held = 0
        self._settled = settled
        self._counted_again = settled.again
        self._measurements = measurements
        self._loop = asyncio.get_running_loop()
        self._seconds_an_image = 0.01  # a running mean, for Retry-After
        self._decoders = Decoders(
            settled.predictor.preprocessing,
            threads=limits.decoders,
            max_pixels=limits.max_pixels,
            on_decoded=lambda job: self._batcher.submit(job),
            on_failed=self._failed,
        )
        self._batcher = Batcher(
            settled,
            batch=limits.batch,
            max_delay_s=limits.max_delay_s,
            under_way=lambda: self.being_decoded,
            on_answers=self._deliver,
            on_batch=self._count_batch,
        )

    @property
    def being_decoded(self) -> int:
        """How many images of usual size wait for a decoder or are in one."""
        return self._decoders.under_way

    def refuse_when_full(self, images: int = 1) -> None:
        """Raise 429 if so many more images do not fit, saying when they may."""
        if self.held + images > self.limits.queue:
            wait = self.held * self._seconds_an_image
            raise overloaded(f"{self.held} images wait already, of at most {self.limits.queue}; try again later", wait)

    async def answer(self, uploads: Sequence[Upload], top: int) -> list[Answer]:
        """Answer the images of one request, in order; an image that cannot be read has an error instead of classes.

        Raises:
            RefusalError: 429 the queue is full; 500 the network answers with NaN; 504 it took too long.
        """
        self.refuse_when_full(len(uploads))
        self._hold(len(uploads))
        ticket = Ticket(len(uploads), top)
        for position, upload in enumerate(uploads):
            self._decoders.submit(Job(ticket, position, upload))
        try:
            async with asyncio.timeout(self.limits.timeout_s):
                await ticket.done
        except NotFiniteError as error:
            raise RefusalError(500, str(error)) from None
        except TimeoutError:
            raise RefusalError(
                504, f"no answer within {self.limits.timeout_s:g} s; send fewer images, or try again later"
            ) from None
        finally:
            ticket.abandoned = True
        return [answer for answer in ticket.answers if answer is not None]

    def close(self) -> None:
        """Answer what was admitted, then end the threads."""
        self._decoders.close()
        self._batcher.close()

    def _hold(self, images: int) -> None:
        self.held += images
        self._measurements.held(self.held)

    def _failed(self, job: Job, reason: str | Exception) -> None:
        answer = {"file": job.upload.name, "error": reason} if isinstance(reason, str) else reason
        self._deliver([job], [answer])

    def _deliver(self, jobs: Sequence[Job], answers: Sequence[Any]) -> None:
        self._loop.call_soon_threadsafe(self._take, jobs, answers)

    def _take(self, jobs: Sequence[Job], answers: Sequence[Any]) -> None:
        self._hold(-len(jobs))
        for job, answer in zip(jobs, answers, strict=True):
            job.ticket.answer(job.position, answer)

    def _count_batch(self, jobs: Sequence[Job], seconds: float) -> None:
        images, begun = len(jobs), time.perf_counter() - seconds
        for job in jobs:
            self._measurements.decoding(job.decoding_s)
            self._measurements.queueing(max(0.0, begun - job.ticket.began - job.decoding_s))
        self._seconds_an_image += 0.1 * (seconds / images - self._seconds_an_image)
        self._measurements.batch(images, seconds)
        self._measurements.again(self._settled.again - self._counted_again)
        self._counted_again = self._settled.again
