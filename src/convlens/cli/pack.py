"""What `convlens pack` takes, and its help."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def pack(
    data: str,
    out: Path,
    *,
    shards: Annotated[bool, Parameter(negative="")] = True,
    format_: Annotated[Literal["tar", "parquet"], Parameter(name="--format")] = "tar",
    shard_mb: float = 256.0,
    exclude: Path | None = None,
    columns: str | None = None,
    max_bad: float = 0.05,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Write a data set as shards: large files for sequential reading, with an index and checksums.

    Example: convlens pack photos/ packed/ --shards

    Training streams the folder, or a copy at an http:// or s3:// address: shards come in a new order each epoch, images
    are shuffled through a buffer of 10,000, each image is seen once per epoch, and an interrupted training continues
    where it stopped. A shard that cannot be read is retried, then reported and left out, within --max-bad.

    Args:
        data: Labelled images, as for convlens train.
        out: Folder to create.
        shards: Write shards; there is no other layout yet.
        format_: Format of the shards: tar (WebDataset's layout) or parquet (as on data set hubs).
        shard_mb: Approximate size of a shard, in megabytes.
        exclude: Text file listing images to leave out, as for convlens train.
        columns: Column names of a table, as for convlens train.
        max_bad: Largest share of unreadable files, from 0 to 1.
        json_: Print the result as JSON and nothing else.
        quiet: Show no progress.
    """
