"""What `convlens check` takes, and its help."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def check(
    data: str,
    /,
    *,
    html: Path | None = None,
    write_list: Path | None = None,
    look_alikes: Annotated[bool, Parameter(negative="")] = False,
    exclude: Path | None = None,
    columns: str | None = None,
    strict: bool = False,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    quiet: bool = False,
) -> None:
    """Find unreadable, repeated, leaking, contradicting and odd images.

    Example: convlens check photos/ --html check.html --write-list exclude.txt

    Args:
        data: Images to check, as for convlens train: a folder, a table, shards, an address, or digits.
        html: Write the findings with thumbnails to this HTML file.
        write_list: Write the images to leave out to this text file, one per line, for convlens train --exclude:
            unreadable images, contradictions, and all but one of each set of proven copies.
        look_alikes: Also list images that merely look like others.
        exclude: Text file listing images to leave out.
        columns: Column names of a table, separated by commas: paths, labels and, optionally, splits. Example:
            image_id,label.
        strict: End with exit code 1 if there are errors.
        json_: Print the findings as JSON and nothing else.
        quiet: Show no progress.
    """
