"""`convlens pack`: a data set as few large files."""

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def pack(
    data: str,
    out: Path,
    *,
    shards: Annotated[bool, Parameter(negative="")] = True,  # noqa: ARG001 - there is nothing else to pack into yet
    format_: Annotated[Literal["tar", "parquet"], Parameter(name="--format")] = "tar",
    shard_mb: float = 256.0,
    exclude: Path | None = None,
    columns: str | None = None,
    max_bad: float = 0.05,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> int:
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
    from convlens.cli.bar import bar
    from convlens.data import open_dataset
    from convlens.data.packing import pack as write
    from convlens.errors import ConvlensError

    if not shard_mb > 0:
        raise ConvlensError(f"shard-mb is {shard_mb:g}; use more than 0")
    with bar("checking", quiet or json_) as on_progress:
        dataset = open_dataset(data, max_bad=max_bad, exclude=exclude, columns=columns, on_progress=on_progress)
    with bar("packing", quiet or json_) as on_progress:
        done = write(dataset, out, kind=format_, shard_bytes=int(shard_mb * 1e6), on_progress=on_progress)
    if json_:
        about = {"folder": str(done.folder), "images": done.images, "shards": done.shards, "bytes": done.size_bytes}
        print(json.dumps(about, indent=2))
    elif not quiet:
        for bad in dataset.bad_files:
            print(f"left out  {bad.key}: {bad.reason}")
        print(f"packed    {done.images:,} images, {done.shards:,} shards, {done.size_bytes / 1e6:,.1f} MB")
        print(f"train     convlens train {done.folder}")
    return 0
