"""What `convlens calibrate` takes, and its help."""

from typing import Annotated

from cyclopts import Parameter


def calibrate(
    *,
    rows: int = 110,
    seconds: float = 36.0,
    seed: int = 0,
    quiet: bool = False,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Measure individual layers on one core of this machine, and keep the result in the cache.

    Takes less than a minute. Afterwards convlens networks --max-ms 5 and convlens inspect say how long any network
    takes for an image, before it is trained: with PyTorch, on one core, in float32.

    Example: convlens calibrate --seconds 20

    Args:
        rows: Number of random rows to measure, of about sixty layers each.
        seconds: Time limit in seconds; no new round over all rows begins after it.
        seed: Seed of the random layers.
        quiet: Show no progress.
        json_: Print the result as JSON and nothing else.
    """
