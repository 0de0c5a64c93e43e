"""What `convlens weights` takes, and its help."""

from typing import Annotated, Literal

from cyclopts import Parameter


def weights(
    action: Literal["list", "fetch"] = "list",
    /,
    *names: str,
    weights_: Annotated[str, Parameter(name="--weights")] = "imagenet1k",
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """List published weights (installed, in a package, to be downloaded), or fetch some.

    An interrupted download resumes where it stopped, and is compared with the published SHA-256. Files go to the folder
    in CONVLENS_WEIGHTS, or to the cache.

    Example: convlens weights fetch resnet50

    Args:
        action: Action: list, or fetch to download missing weights.
        names: Networks, such as resnet50, or patterns. Default: all networks, for list.
        weights_: Weights to fetch: a published name, or imagenet1k for installed weights, else the most accurate ones.
        json_: Print the result as JSON and nothing else.
    """
