"""How answers lie in a file: lines of JSON, CSV or Parquet, by its suffix."""

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from convlens.errors import ConvlensError
from convlens.predicting.bulk.batches import in_batches

Answer = Mapping[str, Any]  # as FilePrediction.to_dict gives it

CSV_HEAD = ("file", "rank", "label", "probability", "error")
_ROWS = 20_000  # in a row group


def writer_for(path: Path) -> "Callable[[Sequence[Path], Path], None]":
    """What writes files of JSON lines as one file, in the format of its suffix.

    Raises:
        ConvlensError: there is no such format, or it needs a package that is missing.
    """
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        raise ConvlensError(f"{path} ends in {suffix or 'no suffix'}; use {', '.join(_WRITERS)}")
    if suffix == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise ConvlensError(f"{path} needs pyarrow; run pip install 'convlens[data]', or use .csv") from None
    return _WRITERS[suffix]


def csv_rows(answer: Answer) -> Iterator[Sequence[object]]:
    """The rows of an answer: one a class, or one with the error."""
    if "error" in answer:
        yield answer["file"], "", "", "", answer["error"]
        return
    for rank, guess in enumerate(answer["classes"], start=1):
        yield answer["file"], rank, guess["label"], f"{guess['probability']:.4f}", ""


def read_answers(parts: Iterable[Path]) -> Iterator[Answer]:
    """The answers in files of JSON lines, one after the other."""
    for part in parts:
        with part.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def _write_lines(parts: Sequence[Path], path: Path) -> None:
    with path.open("wb") as target:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, target)


def _write_csv(parts: Sequence[Path], path: Path) -> None:
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(CSV_HEAD)
        for answer in read_answers(parts):
            writer.writerows(csv_rows(answer))


def _write_parquet(parts: Sequence[Path], path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    guess = pyarrow.struct([("label", pyarrow.string()), ("probability", pyarrow.float64())])
    schema = pyarrow.schema(
        [
            ("file", pyarrow.string()),
            ("label", pyarrow.string()),
            ("probability", pyarrow.float64()),
            ("classes", pyarrow.list_(guess)),
            ("error", pyarrow.string()),
        ]
    )
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for answers in in_batches(read_answers(parts), _ROWS):
            writer.write_table(pyarrow.Table.from_pylist([_as_row(answer) for answer in answers], schema))


def _as_row(answer: Answer) -> dict[str, Any]:
    """A row of Parquet, whose strings are UTF-8: other names are escaped."""
    row: dict[str, Any] = {
        "file": _utf8(answer["file"]),
        "label": None,
        "probability": None,
        "classes": [],
        "error": None,
    }
    if "error" in answer:
        return {**row, "error": _utf8(answer["error"])}
    return {**row, **answer["classes"][0], "classes": answer["classes"]}


def _utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


_WRITERS: dict[str, Callable[[Sequence[Path], Path], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".jsonl": _write_lines,
}
