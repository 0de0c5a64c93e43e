"""What a worker knows while it serves: its settings, its network once that is warm, and whether it is being stopped."""

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convlens import __version__
from convlens.predicting.protocol import Answering
from convlens.predicting.settled import Settled
from convlens.processors import available_processors
from convlens.serving.bodies import Bodies
from convlens.serving.body_parsing import Reading
from convlens.serving.heat import Heat
from convlens.serving.hosts import Hosts
from convlens.serving.journal import note
from convlens.serving.measurements import Measurements
from convlens.serving.readiness import Readiness
from convlens.serving.request_pipeline import Limits, Pipeline
from convlens.serving.server_settings import Settings
from convlens.serving.tokens import read_token
from convlens.serving.warming import warm

if TYPE_CHECKING:
    from convlens.explaining import Explainer


# A request that found the network before another took its place hands over its images within this time.
_LAST_USE_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A network and what /info says of it.

    Args:
        predictor: what answers.
        about: where it comes from: network, runtime, fingerprint of the data it was trained on.
        load_explainer: gives what /explain asks.
    """

    predictor: Answering
    load_explainer: "Callable[[], Explainer]"
    about: dict[str, Any] = field(default_factory=dict)


class Service:
    """One worker's service.

    Args:
        settings: what the server was told.
        load: gives the network; called in a thread.
        readiness: how many workers are warm.
        renew: called in a thread before what is there now is loaded; None where another process has done it.

    Raises:
        TokenError: the token file cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], Loaded],
        readiness: Readiness,
        renew: Callable[[], None] | None = None,
    ) -> None:
        self.settings = settings
        self.readiness = readiness
        self.token = read_token(settings.token_file) if settings.token_file else None
        self.hosts = Hosts(settings.host, settings.allowed_hosts)
        self.measurements = Measurements()
        self.bodies = Bodies(
            max_body=settings.max_body,
            max_together=max(8 * settings.max_body, 256_000_000),
            timeout_s=settings.upload_timeout_s,
        )
        self.reading = Reading()
        self.draining = False
        self.failure: Exception | None = None
        self.loaded: Loaded | None = None
        self.pipeline: Pipeline | None = None
        self.heat: Heat | None = None
        self._load = load
        self._renew = renew
        self._reloading = asyncio.Lock()

    async def prepare(self) -> None:
        """Load and warm the network in a thread, then take requests.

        Raises:
            ConvlensError: there is no such network, or it cannot be loaded.
        """
        self._install(*await asyncio.to_thread(self._load_and_warm, self.settings.batch))
        self.readiness.count()

    async def reload(self) -> None:
        """Load what is there now beside what answers, then let it answer; if it cannot be loaded, nothing changes."""
        async with self._reloading:
            before = self.pipeline, self.heat
            try:
                if self._renew:
                    await asyncio.to_thread(self._renew)
                batch = self.pipeline.limits.batch if self.pipeline else self.settings.batch
                self._install(*await asyncio.to_thread(self._load_and_warm, batch))
            except Exception as error:  # whatever it is, the network that answers goes on
                note("reload failed", level=logging.ERROR, pid=os.getpid(), reason=" ".join(str(error).split()))
                self.readiness.reloaded(well=False)
                return
            await asyncio.sleep(_LAST_USE_SECONDS)
            for part in before:
                if part:
                    await asyncio.to_thread(part.close)
            self.readiness.reloaded(well=True)

    def _install(self, loaded: Loaded, settled: Settled, batch: int) -> None:
        settings = self.settings
        limits = Limits(
            batch=batch,
            max_delay_s=settings.max_delay_ms / 1000,
            queue=settings.queue,
            decoders=max(2, available_processors() // settings.workers),
            max_pixels=settings.max_pixels,
            timeout_s=settings.timeout_s,
        )
        self.loaded = loaded
        self.pipeline = Pipeline(settled, limits, self.measurements)
        self.heat = Heat(
            loaded.predictor.preprocessing,
            loaded.load_explainer,
            max_pixels=settings.max_pixels,
            timeout_s=settings.timeout_s,
        )
        about = {key: loaded.about[key] for key in ("sha256",) if key in loaded.about}
        note("ready", pid=os.getpid(), batch=batch, classes=len(loaded.predictor.classes), **about)

    def _load_and_warm(self, batch: int | None) -> tuple[Loaded, Settled, int]:
        loaded = self._load()
        settled = Settled(loaded.predictor)
        return loaded, settled, warm(settled, batch)

    async def close(self) -> None:
        """Answer what was admitted, then stop."""
        self.reading.close()
        if self.pipeline:
            await asyncio.to_thread(self.pipeline.close)
        if self.heat:
            await asyncio.to_thread(self.heat.close)

    def info(self) -> dict[str, Any]:
        """What /info answers."""
        assert self.loaded is not None
        assert self.pipeline is not None
        predictor = self.loaded.predictor
        settings = self.settings
        return {
            "convlens": __version__,
            "classes": list(predictor.classes),
            "preprocessing": predictor.preprocessing.to_dict(),
            **self.loaded.about,
            "batch": self.pipeline.limits.batch,
            "limits": {
                "files": settings.max_files,
                "body_bytes": settings.max_body,
                "pixels": settings.max_pixels,
                "queue": settings.queue,
                "seconds": settings.timeout_s,
            },
        }
