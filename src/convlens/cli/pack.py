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
    """Write a data set as shards: large files that are read from one end to the other, with an index and checksums.

    Example: convlens pack photos/ packed/ --shards

    Training takes the folder, or the http:// or s3:// address that it was copied to, and streams it: each epoch has an
    order of shards, images are shuffled through a buffer of 10,000, each is seen once an epoch, and a training that
    was cut goes on where it was. A shard that cannot be read is tried again, then named and left out within --max-bad.

    Args:
        data: The labelled images, as for convlens train.
        out: The folder to make.
        shards: Write shards, which is all that there is to write.
        format_: tar in WebDataset's layout, or parquet as hub data sets have it.
        shard_mb: About how large a shard becomes, in megabytes.
        exclude: A list of images to leave out, as for convlens train.
        columns: Names of a table's columns, as for convlens train.
        max_bad: Largest share of unreadable files.
        json_: Print what was written as JSON.
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
