"""A table of images, CSV or Parquet: the columns path and label, and split if there is one."""

import csv
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from convlens.data.class_labels import class_of
from convlens.data.dataset import BadFile, DataError, Record
from convlens.data.downloads import Downloads, version_of
from convlens.data.image_files import FileSource, size_of
from convlens.data.listing import Listing, split_named
from convlens.data.reaching import is_address
from convlens.data.remote import RemoteFileSource

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".parquet"})
FORM = "path,label[,split]"
PATH_COLUMNS = ("path", "file", "filename", "file_name", "fname", "image")
LABEL_COLUMNS = ("label", "class", "category")
SPLIT_COLUMNS = ("split", "is_valid")  # the latter is fastai's
_YES_NO = {"true": True, "1": True, "1.0": True, "yes": True, "false": False, "0": False, "0.0": False, "no": False}


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which columns of a table hold what; None takes the first of the usual names that is there."""

    path: str | None = None
    label: str | None = None
    split: str | None = None

    @classmethod
    def named(cls, text: str | None) -> "Columns":
        """Read `image_id,label` or `image_id,label,fold`.

        Raises:
            DataError: it is of another form.

        >>> Columns.named("image_id, label").path
        'image_id'
        """
        if text is None:
            return cls()
        names = [name.strip() for name in text.split(",")]
        if len(names) not in (2, 3) or not all(names):
            raise DataError(f"columns is {text!r}; give the names of the columns as {FORM}, such as image_id,label")
        return cls(path=names[0], label=names[1], split=names[2] if len(names) == 3 else None)


def list_table(table: Path, location: str, columns: Columns, *, base: str = "") -> Listing:
    """List the images of a table; a path is relative to the table's folder, or to the address `base`, or absolute.

    Raises:
        DataError: a column is missing, a split has no known name, or one image has two labels.
    """
    present, rows = _rows(table)
    path_column = column_of(present, columns.path, PATH_COLUMNS, table)
    label_column = column_of(present, columns.label, LABEL_COLUMNS, table)
    dividing = split_column(present, columns.split, table)
    splits: dict[str, list[Record]] = {}
    bad, seen, repeated = [], dict[str, tuple[str, str]](), 0
    for number, row in enumerate(rows, start=2):  # line 1 holds the column names
        path, label = _text(row.get(path_column)), class_of(row.get(label_column))
        if not path or not label:
            bad.append(
                BadFile(key=path or f"row {number}", reason=f"row {number} has no {'label' if path else 'path'}")
            )
            continue
        split = split_of(row.get(dividing), dividing, f"{table}, row {number}") if dividing else ""
        record = _remote_record(base, path, label) if base else _record(table.parent, path, label)
        if record.key in seen:
            _refuse_contradiction(table, number, record.key, seen[record.key], (label, split))
            repeated += 1
            continue
        seen[record.key] = label, split
        splits.setdefault(split, []).append(record)
    if not splits and not bad:
        raise DataError(f"{table} has no rows below the names of its columns; add one for each image")
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


def paths_of(table: str, columns: Columns) -> Iterator[str]:
    """The paths or addresses in a table, here or behind an address, as they can be opened; no labels are asked for.

    Raises:
        DataError: it has no column of paths.
    """
    local, base = Path(table), ""
    if is_address(table):
        local, base = Downloads(table).fetched(table, version=version_of(table)), table.rpartition("/")[0]
    present, rows = _rows(local)
    column = column_of(present, columns.path, PATH_COLUMNS, local)
    for row in rows:
        if path := _text(row.get(column)):
            yield _remote_record(base, path, "").path if base else str(local.parent / path.replace("\\", "/"))


def _rows(table: Path) -> tuple[list[str], Iterable[Mapping[str, Any]]]:
    if table.suffix.lower() == ".parquet":
        return _parquet_rows(table)
    try:
        text = table.read_text(encoding="utf-8-sig")  # spreadsheets begin with a byte order mark
    except UnicodeDecodeError:
        raise DataError(f"{table} is not UTF-8; save it as UTF-8") from None
    text = text.lstrip()
    if not text:
        raise DataError(f"{table} is empty; expected the columns {FORM}")
    # A name may hold a line's end, or what Unicode takes for one, so lines are not split before the quotes are read.
    reader = csv.DictReader(StringIO(text, newline=""), delimiter=max(",;\t", key=text.partition("\n")[0].count))
    reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
    twice = sorted({name for name in reader.fieldnames if name and reader.fieldnames.count(name) > 1})
    if twice:
        raise DataError(f"{table} has two columns named {twice[0]!r}; rename one")
    return list(reader.fieldnames), _csv_rows(reader, table)


def _csv_rows(reader: "csv.DictReader[str]", table: Path) -> Iterator[dict[str, str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise DataError(f"{table}, line {reader.line_num}: {error}") from None


def _parquet_rows(table: Path) -> tuple[list[str], Iterator[dict[str, Any]]]:
    from convlens.data.parquet import open_parquet

    file = open_parquet(table)
    names = {name.strip(): name for name in file.schema_arrow.names if not _holds_more(file.schema_arrow.field(name))}

    def rows() -> Iterator[dict[str, Any]]:
        for batch in file.iter_batches(columns=list(names.values())):
            yield from ({name.strip(): value for name, value in row.items()} for row in batch.to_pylist())

    return list(names), rows()


def _holds_more(field: Any) -> bool:
    """Whether a column holds more than one plain value a row, so that it is neither path nor label."""
    from pyarrow import types

    return bool(types.is_nested(field.type) or types.is_binary(field.type) or types.is_large_binary(field.type))


def column_of(present: list[str], wanted: str | None, usual: tuple[str, ...], table: Path) -> str:
    """The column that was named, or the first of the usual ones.

    Raises:
        DataError: the table has no such column.
    """
    found = _find(present, usual if wanted is None else (wanted,))
    if found is None:
        name = usual[0] if wanted is None else wanted
        raise DataError(
            f"{table} has no column {name!r}; it has {', '.join(present)}; name those of {FORM} with --columns"
        )
    return found


def split_column(present: list[str], wanted: str | None, table: Path) -> str | None:
    """The column that divides the rows, or None where there is none."""
    return _find(present, SPLIT_COLUMNS) if wanted is None else column_of(present, wanted, SPLIT_COLUMNS, table)


def _find(present: list[str], names: tuple[str, ...]) -> str | None:
    """The first of `names` that is there, as the table spells it; capitals do not matter."""
    lower = {name.lower(): name for name in reversed(present)}
    return next((lower[name.lower()] for name in names if name.lower() in lower), None)


def split_of(value: Any, column: str, where: str) -> str:
    """The split of a row; a column such as fastai's `is_valid` says whether it is for validation."""
    text = _text(value)
    if column.lower() == "is_valid":
        if text.lower() in _YES_NO:
            return "val" if _YES_NO[text.lower()] else "train"
        raise DataError(f"{where}: {column} is {text!r}; use True or False")
    return split_named(text, where)


def _record(folder: Path, path: str, label: str) -> Record:
    where = folder / path.replace("\\", "/")
    key = where.relative_to(folder) if where.is_relative_to(folder) else where
    return Record(key=posixpath.normpath(key.as_posix()), label=label, path=str(where), size_bytes=size_of(where))


def _remote_record(base: str, path: str, label: str) -> Record:
    return Record(key=path, label=label, path=path if is_address(path) else f"{base}/{path.lstrip('/')}")


def _refuse_contradiction(table: Path, row: int, key: str, first: tuple[str, str], second: tuple[str, str]) -> None:
    if first != second:
        what = "labels" if first[0] != second[0] else "splits"
        a, b = (first[0], second[0]) if what == "labels" else (first[1], second[1])
        raise DataError(f"{table}, row {row}: {key} has two {what}, {a!r} and {b!r}; keep one row")


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
