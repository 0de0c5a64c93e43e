"""What a server is told: where it listens, how much it takes on, and when it gives up."""

from dataclasses import dataclass
from pathlib import Path

from convlens.errors import ConvlensError, unknown_name
from convlens.processors import available_processors
from convlens.ranges import Range, check_ranges

LOG_LEVELS = ("debug", "info", "warning", "error")
_RANGES = {
    "port": Range(0, 65_535, "0 for a free one"),
    **dict.fromkeys(("workers", "threads", "batch", "queue", "max_files", "top"), Range(1)),
    **dict.fromkeys(("max_body_mb", "max_megapixels", "timeout_s", "upload_timeout_s"), Range(0, open_below=True)),
    **dict.fromkeys(("max_delay_ms", "drain_delay_s"), Range(0)),
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a server is told, checked when it is made.

    Args:
        host: address to listen on; 127.0.0.1 is reached from this machine only.
        port: port to listen on; 0 takes a free one.
        workers: processes that answer, each with a copy of the network.
        threads: processor threads of each worker's network; if not given, the workers share the processor's.
        runtime: what computes: torch, onnxruntime, openvino, engine, or auto for the fastest here; if not given,
            PyTorch for a run and the artifact's own for an artifact.
        device: where PyTorch runs: auto, cpu, cuda; auto takes a GPU if there is one.
        batch: most images in one pass through the network; 1 never waits for a companion; if not given, what pays is
            measured.
        max_delay_ms: longest an image waits for companions that are being decoded, in milliseconds.
        queue: images that one worker holds at most, decoded or not; above it requests get 429.
        max_files: images in one request.
        max_body_mb: size of one request, in megabytes of 1,000,000 bytes; above it 413.
        max_megapixels: size of one decoded image, in millions of pixels.
        timeout_s: seconds a request may take from its last byte to its answer; above it 504.
        upload_timeout_s: seconds a request's body may take to arrive; above it 408.
        drain_delay_s: seconds between SIGTERM, when /ready turns to 503, and the end of new connections.
        top: classes in an answer when the request does not say.
        allowed_hosts: names, besides addresses and localhost, under which a server without a token is asked, such as
            images.example.org; a request that names another host gets 403, since a page of anybody could have sent it.
        token_file: a file with the bearer token that requests must carry; none is asked for if not given.
        log_level: least severe lines to log; info logs each request.

    Raises:
        ConvlensError: a value is out of range.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    threads: int | None = None
    runtime: str | None = None
    device: str = "auto"
    batch: int | None = None
    max_delay_ms: float = 5.0
    queue: int = 256
    max_files: int = 32
    max_body_mb: float = 32.0
    max_megapixels: float = 50.0
    timeout_s: float = 30.0
    upload_timeout_s: float = 30.0
    drain_delay_s: float = 0.0
    top: int = 5
    allowed_hosts: tuple[str, ...] = ()
    token_file: Path | None = None
    log_level: str = "info"

    def __post_init__(self) -> None:
        check_ranges(self, _RANGES)
        if self.max_files > self.queue:
            raise ConvlensError(
                f"max_files is {self.max_files} and queue is {self.queue}: a full request would never fit; "
                "raise queue or lower max_files"
            )
        if self.log_level not in LOG_LEVELS:
            raise unknown_name("log level", self.log_level, LOG_LEVELS)

    @property
    def max_body(self) -> int:
        """The size of one request in bytes."""
        return int(self.max_body_mb * 1_000_000)

    @property
    def max_pixels(self) -> int:
        """The size of one decoded image in pixels."""
        return int(self.max_megapixels * 1_000_000)

    @property
    def threads_per_worker(self) -> int:
        """Processor threads of each worker's network."""
        return self.threads or max(1, available_processors() // self.workers)
