"""What `convlens networks` takes, and its help."""

from typing import Annotated

from cyclopts import Parameter


def networks(
    pattern: str | None = None,
    *,
    weights: Annotated[bool, Parameter(negative="")] = False,
    max_ms: str | None = None,
    max_params: str | None = None,
    max_macs: str | None = None,
    max_memory: str | None = None,
    size: str | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """List the networks of the catalogue, or show one with its published figures.

    With a limit or a size: those within the limits, and how long each takes for an image here, predicted (see convlens
    calibrate).

    Example: convlens networks --max-ms 5 --size 160

    Args:
        pattern: A name, part of a name, or a pattern such as vgg*_bn. Default: all networks.
        weights: List published weights instead: installed, in a package, or to be downloaded.
        max_ms: The longest predicted time for one image in milliseconds. Default: no limit.
        max_params: The most parameters, such as 10M. Default: no limit.
        max_macs: The most multiply-adds for one image, such as 300M. Default: no limit.
        max_memory: The most memory of an inference of one image, weights included, such as 200MB. Default: no limit.
        size: Height and width of the images in pixels: 224 or 192,256. Default: each network's own.
        json_: Print the result as JSON and nothing else: a list of cards, one card for a full name, a list of
            weights, or what is within the limits.
    """
