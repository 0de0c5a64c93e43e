"""What a worker knows while it serves: its settings, its network once that is warm, and whether it is being stopped."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convlens import __version__
from convlens.predicting.protocol import Answering
from convlens.predicting.settled import Settled
from convlens.processors import available_processors
from convlens.serving.bodies import Bodies
from convlens.serving.heat import Heat
from convlens.serving.journal import note
from convlens.serving.measurements import Measurements
from convlens.serving.pipeline import Limits, Pipeline
from convlens.serving.readiness import Readiness
from convlens.serving.reading import Reading
from convlens.serving.settings import Settings
from convlens.serving.tokens import read_token
from convlens.serving.warming import warm

if TYPE_CHECKING:
    from convlens.explaining import Explainer


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

    Raises:
        TokenError: the token file cannot be used.
    """

    def __init__(self, settings: Settings, load: Callable[[], Loaded], readiness: Readiness) -> None:
        self.settings = settings
        self.readiness = readiness
        self.token = read_token(settings.token_file) if settings.token_file else None
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

    async def prepare(self) -> None:
        """Load and warm the network in a thread, then take requests.

        Raises:
            ConvlensError: there is no such network, or it cannot be loaded.
        """
        loaded, settled, batch = await asyncio.to_thread(self._load_and_warm)
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
        self.readiness.count()
        note("ready", pid=os.getpid(), batch=batch, classes=len(loaded.predictor.classes))

    def _load_and_warm(self) -> tuple[Loaded, Settled, int]:
        loaded = self._load()
        settled = Settled(loaded.predictor)
        return loaded, settled, warm(settled, self.settings.batch)

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
