"""A table of images, CSV or Parquet: the columns path and label, and split if there is one."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from convlens.data.dataset import BadFile, DataError, Record
from convlens.data.downloads import Downloads
from convlens.data.files import FileSource, size_of
from convlens.data.listing import Listing, split_named
from convlens.data.reaching import is_address
from convlens.data.remote import RemoteFileSource

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".parquet"})
PATH_COLUMNS = ("path", "file", "filename", "file_name", "image")
LABEL_COLUMNS = ("label", "class", "category")


def list_table(table: Path, location: str, *, base: str = "") -> Listing:
    """List the images of a table; a path is relative to the table's folder, or to the address `base`, or absolute.

    Raises:
        DataError: a column is missing, a split has no known name, or one image has two labels.
    """
    columns, rows = _rows(table)
    path_column, label_column = _column(columns, PATH_COLUMNS, table), _column(columns, LABEL_COLUMNS, table)
    splits: dict[str, list[Record]] = {}
    bad, seen, repeated = [], dict[str, tuple[str, str]](), 0
    for number, row in enumerate(rows, start=2):  # line 1 holds the column names
        path, label = _text(row.get(path_column)), _text(row.get(label_column))
        if not path or not label:
            bad.append(
                BadFile(key=path or f"row {number}", reason=f"row {number} has no {'label' if path else 'path'}")
            )
            continue
        split = split_named(_text(row.get("split")), f"{table}, row {number}") if "split" in columns else ""
        record = _remote_record(base, path, label) if base else _record(table.parent, path, label)
        if record.key in seen:
            _refuse_contradiction(table, number, record.key, seen[record.key], (label, split))
            repeated += 1
            continue
        seen[record.key] = label, split
        splits.setdefault(split, []).append(record)
    notes = (f"ignored {repeated} row(s) that repeat an image",) if repeated else ()
    members = {name: tuple(records) for name, records in splits.items()}
    return Listing(
        name=table.stem,
        splits=members,
        source=RemoteFileSource(Downloads(location)) if base else FileSource(),
        notes=notes,
        bad=tuple(bad),
        location=location,
    )


def _rows(table: Path) -> tuple[list[str], Iterable[Mapping[str, Any]]]:
    if table.suffix.lower() == ".parquet":
        return _parquet_rows(table)
    try:
        text = table.read_text(encoding="utf-8-sig")  # spreadsheets begin with a byte order mark
    except UnicodeDecodeError:
        raise DataError(f"{table} is not UTF-8; save it as UTF-8") from None
    lines = text.splitlines()
    if not lines:
        raise DataError(f"{table} is empty; expected the columns path,label[,split]")
    reader = csv.DictReader(lines, delimiter=max(",;\t", key=lines[0].count))
    reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
    return list(reader.fieldnames), reader


def _parquet_rows(table: Path) -> tuple[list[str], Iterator[dict[str, Any]]]:
    from convlens.data.parquet import open_parquet

    file = open_parquet(table)
    names = {name: name.strip().lower() for name in file.schema_arrow.names}
    columns = [name for name, lower in names.items() if lower in {*PATH_COLUMNS, *LABEL_COLUMNS, "split"}]

    def rows() -> Iterator[dict[str, Any]]:
        for batch in file.iter_batches(columns=columns):
            yield from ({names[name]: value for name, value in row.items()} for row in batch.to_pylist())

    return [names[name] for name in columns], rows()


def _column(columns: list[str], names: tuple[str, ...], table: Path) -> str:
    for name in names:
        if name in columns:
            return name
    raise DataError(f"{table} has no column {names[0]!r}; it has {', '.join(columns)}; expected path,label[,split]")


def _record(folder: Path, path: str, label: str) -> Record:
    where = folder / path.replace("\\", "/")
    key = where.relative_to(folder) if where.is_relative_to(folder) else where
    return Record(key=key.as_posix(), label=label, path=str(where), size_bytes=size_of(where))


def _remote_record(base: str, path: str, label: str) -> Record:
    return Record(key=path, label=label, path=path if is_address(path) else f"{base}/{path.lstrip('/')}")


def _refuse_contradiction(table: Path, row: int, key: str, first: tuple[str, str], second: tuple[str, str]) -> None:
    if first != second:
        what = "labels" if first[0] != second[0] else "splits"
        a, b = (first[0], second[0]) if what == "labels" else (first[1], second[1])
        raise DataError(f"{table}, row {row}: {key} has two {what}, {a!r} and {b!r}; keep one row")


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
