"""Write a data set as shards: few large files that are read from one end to the other, with an index and checksums.

The shards are ordinary ones: tar in WebDataset's layout, or Parquet as hub data sets have it. Beside them lie
`index.json` (splits, classes, and of each shard its images, bytes and SHA-256) and `records.jsonl` (a line a shard: the
key, label and place of each image), so that nothing but these two is read before training.
"""

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from convlens.data.dataset import DataError, Dataset, Record
from convlens.data.parallel import in_order
from convlens.data.splitting import position
from convlens.errors import unknown_name
from convlens.files import write_bytes, write_json
from convlens.images import SUFFIXES, to_pillow

FORMAT = "convlens shards 1"
INDEX, RECORDS = "index.json", "records.jsonl"
Kind = Literal["tar", "parquet"]
KINDS = get_args(Kind)
_ROWS = 64  # images in a row group of Parquet, which is read as a whole


@dataclass(frozen=True, kw_only=True)
class Packed:
    """What was written."""

    folder: Path
    images: int
    shards: int
    size_bytes: int


def pack(
    dataset: Dataset,
    out: str | Path,
    *,
    kind: Kind = "tar",
    shard_bytes: int = 256_000_000,
    on_progress: Callable[[int, int], None] | None = None,
) -> Packed:
    """Write every image of a data set, as its file holds it, into shards; plain pixels become PNG.

    Within a split the images come in an order that is drawn from their keys, so that every shard holds all classes.

    Args:
        dataset: as `open_dataset` gives it; what it left out is not written.
        out: the folder to make; whole or not at all.
        kind: `"tar"` or `"parquet"`.
        shard_bytes: about how large a shard becomes.
        on_progress: called with how many images are written and how many there are.

    Raises:
        DataError: the folder has something in it, or a size that makes no sense.
    """
    if kind not in KINDS:
        raise unknown_name("kind of shard", kind, KINDS)
    if shard_bytes < 1:
        raise DataError(f"shard_bytes is {shard_bytes}; use at least 1")
    target = Path(out)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"{target} is there already; give a folder that is new or empty")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}.", suffix=".part", dir=target.parent))
    try:
        packed = _write(dataset, partial, target, kind, shard_bytes, on_progress)
        partial.chmod(0o755)
        if target.exists():
            target.rmdir()
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return packed


def _write(
    dataset: Dataset,
    folder: Path,
    target: Path,
    kind: Kind,
    shard_bytes: int,
    on_progress: Callable[[int, int], None] | None,
) -> Packed:
    total = len(dataset.records("all"))
    number = {name: i for i, name in enumerate(dataset.classes)}
    shards: list[dict[str, Any]] = []
    lines: list[str] = []
    done = 0
    for split, records in dataset.splits.items():
        ordered = sorted(records, key=lambda record: position(record.key))
        for count, part in enumerate(_parts(dataset, ordered, shard_bytes)):
            file = folder / f"{split}-{count:05d}.{kind}"
            places = (_write_tar if kind == "tar" else _write_parquet)(file, part, dataset.classes)
            shards.append(
                {
                    "file": file.name,
                    "split": split,
                    "images": len(part),
                    "bytes": file.stat().st_size,
                    "sha256": sha256_of(file),
                }
            )
            row = {
                "file": file.name,
                "keys": [record.key for record, _ in part],
                "labels": [number[record.label] for record, _ in part],
                "places": places,
                "sizes": [len(content) for _, content in part],
            }
            lines.append(json.dumps(row))
            done += len(part)
            if on_progress:
                on_progress(done, total)
    content = "".join(f"{line}\n" for line in lines).encode()
    write_bytes(folder / RECORDS, content)
    index = {
        "format": FORMAT,
        "name": dataset.name,
        "kind": kind,
        "classes": list(dataset.classes),
        "channels": dataset.channels,
        "mirrors": dataset.mirrors,
        "records_sha256": hashlib.sha256(content).hexdigest(),
        "shards": shards,
    }
    write_json(folder / INDEX, index)
    return Packed(folder=target, images=done, shards=len(shards), size_bytes=sum(shard["bytes"] for shard in shards))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parts(dataset: Dataset, records: Sequence[Record], shard_bytes: int) -> Iterator[list[tuple[Record, bytes]]]:
    """The images of each shard, with the bytes of their files."""
    part: list[tuple[Record, bytes]] = []
    size = 0
    for record, content in zip(records, in_order(lambda record: _encoded(dataset, record), records), strict=True):
        if part and size + len(content) > shard_bytes:
            yield part
            part, size = [], 0
        part.append((record, content))
        size += len(content)
    if part:
        yield part


def _encoded(dataset: Dataset, record: Record) -> bytes:
    content = dataset.source.encoded(record)
    if content is not None:
        return content
    file = io.BytesIO()
    to_pillow(dataset.read(record)).save(file, "png")
    return file.getvalue()


def _write_tar(path: Path, part: Sequence[tuple[Record, bytes]], _: Sequence[str]) -> list[list[int]]:
    """Write a shard in WebDataset's layout; returns offset and length of each image."""
    places = []
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for number, (record, content) in enumerate(part):
            for name, data in (
                (_suffix(record, content), content),
                ("cls", record.label.encode(errors="surrogatepass")),
            ):
                member = tarfile.TarInfo(f"{number:08d}.{name}")  # without a time or an owner, so the same every time
                member.size = len(data)
                if name != "cls":
                    places.append([tar.offset + 512, len(content)])
                tar.addfile(member, io.BytesIO(data))
    return places


def _suffix(record: Record, content: bytes) -> str:
    """What the bytes are: by the name of their file, where it has one, else by their beginning."""
    suffix = PurePosixPath(record.key).suffix.lower()
    if suffix in SUFFIXES:
        return suffix[1:]
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    return "webp" if content[8:12] == b"WEBP" else "jpg"


def _write_parquet(path: Path, part: Sequence[tuple[Record, bytes]], classes: Sequence[str]) -> list[list[int]]:
    """Write a shard as hub data sets have it; returns row group and row of each image."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DataError("shards of Parquet need pyarrow; run pip install 'convlens[data]'") from None
    number = {name: i for i, name in enumerate(classes)}
    rows = [{"bytes": content, "path": record.key.encode(errors="replace").decode()} for record, content in part]
    features = {"image": {"_type": "Image"}, "label": {"names": list(classes), "_type": "ClassLabel"}}
    table = pyarrow.table({"image": rows, "label": [number[record.label] for record, _ in part]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, path, row_group_size=_ROWS, compression="none")
    return [[i // _ROWS, i % _ROWS] for i in range(len(part))]
