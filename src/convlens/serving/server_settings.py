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
        host: Address to listen on; 127.0.0.1 accepts requests from this machine only.
        port: Port to listen on; 0 for any free one.
        workers: Number of worker processes, each with a copy of the network.
        threads: Number of processor threads per worker. Default: the processors divided among the workers.
        runtime: Runtime that computes: torch, onnxruntime, openvino, engine, or auto for the fastest on this machine.
            Default: torch for a run, its own for an artifact.
        device: Device for PyTorch: auto, cpu or cuda; auto uses a GPU if there is one.
        batch: Largest number of images in one pass through the network; with 1, no image waits for others. Default:
            measured when the server starts.
        max_delay_ms: Longest time an image waits to be batched with others, in milliseconds.
        queue: Largest number of images one worker holds; further requests get status 429.
        max_files: Largest number of images in one request.
        max_body_mb: Largest size of one request, in megabytes (1,000,000 bytes); larger ones get status 413.
        max_megapixels: Largest size of one decoded image, in millions of pixels.
        timeout_s: Longest time from a request's last byte to its answer, in seconds; then status 504.
        upload_timeout_s: Longest time for a request's body to arrive, in seconds; then status 408.
        drain_delay_s: Time between SIGTERM, when /ready starts to answer 503, and the end of new connections, in
            seconds.
        top: Number of classes in an answer, unless the request asks for another number.
        allowed_hosts: Host names, such as images.example.org, accepted by a server without a token, besides addresses
            and localhost. Requests for other hosts get status 403, because any web page could have sent them.
        token_file: File with the bearer token that requests must carry. Default: no token is required.
        log_level: Least severe level to log: debug, info, warning or error; info logs each request.

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
