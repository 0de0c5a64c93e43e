"""What `convlens explore` takes, and its help."""

from pathlib import Path


def explore(
    subject: str | None = None,
    *,
    weights: str | None = None,
    image: Path | None = None,
    lecture: Path | None = None,
    port: int | None = None,
    browser: bool = True,
) -> None:
    """Open the explorer in the browser: interactive pages for the lecture, on your own network and image.

    It accepts requests from this machine only, loads nothing from the internet, and keeps uploads in memory. Ctrl-C
    stops it.

    Example: convlens explore runs/train/photos --image cat.jpg

    Args:
        subject: What to explore: a run folder, the folder of a study, an artifact, an ONNX file (drawn on page 7), a
            network's name, or code such as my_net.py:Net, which is executed with your permissions.
        weights: Weights for a network's name or code: a published name, such as imagenet1k_v1, or a file.
        image: Image to start with.
        lecture: Present the lecture with the arrow keys: ours, or your own from a YAML file (docs/explorer.md).
        port: Port to listen on; 0 for any free one. Default: 8765, or a free one if it is taken.
        browser: Open the browser; `--no-browser` only prints the address.
    """
