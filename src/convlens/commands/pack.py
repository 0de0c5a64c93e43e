"""`convlens pack`: a data set as few large files."""

import json
from pathlib import Path
from typing import Literal

from convlens.commands.bar import bar
from convlens.data import open_dataset
from convlens.data.packing import pack as write
from convlens.errors import ConvlensError


def pack(
    data: str,
    out: Path,
    *,
    shards: bool,  # noqa: ARG001 - there is nothing else to pack into yet
    format_: Literal["tar", "parquet"],
    shard_mb: float,
    exclude: Path | None,
    columns: str | None,
    max_bad: float,
    json_: bool,
    quiet: bool,
) -> int:
    """Write a data set as shards: large files for sequential reading, with an index and checksums."""
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
