"""Parquet files: opened with a clear word when something is not in order; and those that hold the images themselves.

The layout is that of hub data sets: a column `image` of structures {bytes, path} or of plain bytes, a column `label`
whose class names stand in the schema's metadata, and the split in the file's name (`train-00000-of-00002.parquet`).
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.data.arranging import Entry, arrange
from convlens.data.class_labels import class_of
from convlens.data.dataset import DataError, Record
from convlens.data.image_table import Columns, column_of, split_column, split_of
from convlens.data.listing import Listing
from convlens.data.tree import File, Folder
from convlens.images import ImageError, read

_KEPT_GROUPS = 16  # row groups in memory: images are drawn in any order
_MOST_ROWS, _MOST_BYTES = 10_000_000, 4_000_000_000  # of one row group
_LABELS = ("label", "labels", "fine_label", "class", "category")


def open_parquet(path: Path | str, stream: Any = None) -> Any:
    """Open a pyarrow.parquet.ParquetFile.

    Args:
        path: the file; of a `stream`, what to call it.
        stream: the opened file, where it is not a local one.

    Raises:
        DataError: pyarrow is not installed, or the file is no Parquet.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise DataError(f"{path} needs pyarrow; run pip install 'convlens[data]'") from None
    try:
        file = parquet.ParquetFile(path if stream is None else stream)
        _check_sizes(file.metadata, path)
        names = file.schema_arrow.names
    except (ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path} is no Parquet file: {' '.join(str(error).split())}") from None
    if len(set(names)) != len(names):
        raise DataError(f"{path} has two columns of one name; rename one")
    return file


def read_group(path: Path, file: Any, group: int, column: str) -> Any:
    """Read one column of one row group.

    Raises:
        DataError: it is damaged.
    """
    from pyarrow import ArrowException

    try:
        return file.read_row_group(group, columns=[column]).column(0)
    except (ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"{path} is damaged ({reason}); copy it again") from None


def _check_sizes(metadata: Any, path: Path | str) -> None:
    """A few bytes can stand for any number of rows, which take memory when they are read."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        unpacked = [group.column(place).total_uncompressed_size for place in range(group.num_columns)]
        if (
            not 0 <= group.num_rows <= _MOST_ROWS
            or not 0 <= sum(unpacked) <= _MOST_BYTES
            or min(unpacked, default=0) < 0
        ):
            raise DataError(
                f"{path} says that its row group {number} has {group.num_rows:,} rows of {sum(unpacked):,} bytes; "
                f"at most {_MOST_ROWS:,} rows and {_MOST_BYTES:,} bytes are read; write smaller row groups"
            )


class ParquetSource:
    """Reads images out of row groups, of which the last ones used stay in memory."""

    raw = False

    def __init__(self, column: str) -> None:
        self.column = column
        self._groups: OrderedDict[tuple[str, int], Any] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"column": self.column}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["column"])  # type: ignore[misc]

    def read(self, record: Record, *, channels: int, at_least: tuple[int, int] | None) -> NDArray[np.uint8]:
        """Read one image, uint8 (H, W, C)."""
        try:
            return read(self.encoded(record), channels=channels, at_least=at_least)
        except ImageError as error:
            raise ImageError(str(error).replace("the file", record.key, 1)) from None

    def encoded(self, record: Record) -> bytes:
        """The bytes of the cell."""
        group, row = record.place
        return cell_bytes(self._group(record.path, group)[row].as_py(), record.key)

    def _group(self, path: str, group: int) -> Any:
        with self._lock:
            if (path, group) not in self._groups:
                file = open_parquet(Path(path))
                self._groups[path, group] = read_group(Path(path), file, group, self.column)
                while len(self._groups) > _KEPT_GROUPS:
                    self._groups.popitem(last=False)
            self._groups.move_to_end((path, group))
            return self._groups[path, group]


def cell_bytes(value: Any, name: str) -> bytes:
    """The encoded image in a cell, {bytes, path} or plain bytes.

    Raises:
        ImageError: it holds none.
    """
    content = value.get("bytes") if isinstance(value, dict) else value
    if not content:
        raise ImageError(f"{name} holds no bytes")
    return bytes(content)


def image_column(path: Path) -> str | None:
    """The column that holds encoded images, or None where there is none."""
    return image_column_of(open_parquet(path))


def image_column_of(file: Any) -> str | None:
    """The column of an opened Parquet file that holds encoded images, or None where there is none."""
    from pyarrow import types

    for field in file.schema_arrow:
        kind = field.type
        if types.is_struct(kind) and any(child.name == "bytes" for child in kind):
            return str(field.name)
        if field.name == "image" and (types.is_binary(kind) or types.is_large_binary(kind)):
            return str(field.name)
    return None


def refuse_lists(schema: Any, column: str, path: Path) -> None:
    """Stop at a column of labels that holds several values a row.

    Raises:
        DataError: it does.
    """
    from pyarrow import types

    if types.is_nested(schema.field(column).type):
        raise DataError(f"{path} holds several values a row in the column {column!r}; give each image one label")


def parquet_files(root: Folder) -> list[tuple[tuple[str, ...], File]]:
    """The Parquet files anywhere in a folder, each with the folders down to it."""
    return [(folder.parts, file) for folder in root.walk() for file in folder.files if file.suffix == ".parquet"]


def list_parquet(name: str, files: list[tuple[tuple[str, ...], File]], location: str, columns: Columns) -> Listing:
    """List the rows of Parquet files that hold images; `arrange` finds their splits.

    Raises:
        DataError: a file has no column of images or none of labels.
    """
    column = image_column(Path(files[0][1].location))
    for _, file in files:
        found = image_column(Path(file.location))
        if found is None or found != column:
            held = f"has its images in the column {found!r}, and others in {column!r}; give it the same name"
            raise DataError(
                f"{file.location} "
                + (held if found else "has no column of image bytes; give a table of paths and labels, or images")
            )
    assert column is not None
    arranged = arrange(
        [entry for folders, file in files for entry in _list_rows(folders, file, columns)], root=location
    )
    return Listing(
        name=name,
        splits={split: tuple(records) for split, records in arranged.splits.items() if records},
        source=ParquetSource(column),
        faults=tuple(arranged.faults),
        bad=tuple(arranged.bad),
        location=location,
    )


def _list_rows(folders: tuple[str, ...], file: File, columns: Columns) -> Iterator[Entry]:
    parquet, path = open_parquet(Path(file.location)), Path(file.location)
    present = list(parquet.schema_arrow.names)
    label = column_of(present, columns.label, _LABELS, path)
    dividing = split_column(present, columns.split, path)
    refuse_lists(parquet.schema_arrow, label, path)
    names = _class_names(parquet.schema_arrow, label)
    wanted = [label, dividing] if dividing else [label]
    for group in range(parquet.num_row_groups):
        columns_read = (read_group(path, parquet, group, name).to_pylist() for name in wanted)
        for row, (value, *stated) in enumerate(zip(*columns_read, strict=True)):
            where = f"{file.location}, row {row} of group {group}"
            yield Entry(
                folders=folders,
                container=file.name,
                name=f"{group:03d}-{row:05d}",
                label=class_of(value, names),
                split=split_of(stated[0], dividing, where) if dividing else "",
                path=file.location,
                place=(group, row),
            )


def _class_names(schema: Any, column: str) -> list[str]:
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[column]["names"]
    except (KeyError, ValueError, TypeError, RecursionError):
        return []
    return [str(name) for name in names] if isinstance(names, list) and len(set(map(str, names))) == len(names) else []
