"""What /metrics tells Prometheus; with several workers, the sum over all of them."""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST
# Where the workers leave their counts for each other; the library reads it when it is imported.
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


disable_created_metrics()  # type: ignore[no-untyped-call]


class Measurements:
    """The counts of one server."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._registry = CollectorRegistry()
        registry = self._registry
        self._requests = Counter("convlens_requests", "Requests answered", ["path", "code"], registry=registry)
        self._latency = Histogram(
            "convlens_request_seconds", "Seconds from a request's headers to its answer", ["path"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._images = Counter("convlens_images", "Images answered", ["outcome"], registry=registry)
        self._batches = Histogram(
            "convlens_batch_images", "Images in one pass through the network",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128), registry=registry,
        )  # fmt: skip
        self._network = Histogram(
            "convlens_network_seconds", "Seconds of one pass through the network", buckets=_SECONDS, registry=registry
        )
        self._decoding = Histogram(
            "convlens_decode_seconds", "Seconds of decoding one image", buckets=_SECONDS, registry=registry
        )
        self._queueing = Histogram(
            "convlens_queue_seconds", "Seconds an image waited for a decoder and for the network",
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._again = Counter(
            "convlens_settled_images",
            "Images run again alone because the batch could have changed a printed digit",
            registry=registry,
        )
        self._held = Gauge(
            "convlens_queue_images",
            "Images admitted and not yet answered",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._in_flight = Gauge(
            "convlens_requests_in_flight", "Requests being answered", registry=registry, multiprocess_mode="livesum"
        )

    def request_began(self) -> None:
        """Count a request in."""
        self._in_flight.inc()

    def request_ended(self, path: str, code: int, seconds: float) -> None:
        """Count a request out."""
        self._in_flight.dec()
        if (path, code) not in self._known:
            self._known[path, code] = self._requests.labels(path, str(code)), self._latency.labels(path)
        requests, latency = self._known[path, code]
        requests.inc()
        latency.observe(seconds)

    def images(self, answered: int, unreadable: int) -> None:
        """Count the images of an answer."""
        if answered:
            self._images.labels("answered").inc(answered)
        if unreadable:
            self._images.labels("unreadable").inc(unreadable)

    def batch(self, images: int, seconds: float) -> None:
        """Count a pass through the network."""
        self._batches.observe(images)
        self._network.observe(seconds)

    def decoding(self, seconds: float) -> None:
        """Count an image that was decoded."""
        self._decoding.observe(seconds)

    def queueing(self, seconds: float) -> None:
        """Count how long an image waited, besides its decoding, before the network took it."""
        self._queueing.observe(seconds)

    def again(self, images: int) -> None:
        """Count images that were run again alone."""
        self._again.inc(images)

    def held(self, images: int) -> None:
        """Set how many images are admitted and not yet answered."""
        self._held.set(images)

    def text(self) -> bytes:
        """What Prometheus reads."""
        if SHARED_FOLDER not in os.environ:
            return generate_latest(self._registry)
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
        return generate_latest(everyone)
