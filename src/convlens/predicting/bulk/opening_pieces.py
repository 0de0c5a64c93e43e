"""From a piece to its images, one after the other, in little memory."""

import tarfile
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convlens.data.dataset import DataError, ImageSource, Record
from convlens.data.image_table import Columns
from convlens.data.packed import PackedSource, index_of, packed_source
from convlens.data.parquet import cell_bytes, image_column_of, open_parquet
from convlens.data.reaching import is_address
from convlens.data.sources import list_source
from convlens.errors import ConvlensError
from convlens.images import MAX_BYTES, Preprocessing
from convlens.predicting.bulk.pieces import Piece, opened, tar_images
from convlens.predicting.prediction_inputs import Input, from_address, from_bytes, from_file, from_tensor

_CELLS = 16  # of a row group that are in memory


def inputs_of(piece: Piece) -> Iterator[Input]:
    """The images of a piece, in order. What cannot be read is an image, too, whose preparation says why."""
    return {"files": _files, "tar": _tar, "parquet": _parquet, "packed": _packed, "arrays": _arrays}[piece.kind](piece)


def _files(piece: Piece) -> Iterator[Input]:
    for name in piece.names:
        yield from_address(name) if is_address(name) else from_file(Path(name))


def _tar(piece: Piece) -> Iterator[Input]:
    count = 0
    try:
        with opened(piece.location) as stream:
            length = stream.seek(0, 2)
            for _, member, tar in tar_images(stream, piece.start, length):
                name = f"{piece.location}/{member.name.removeprefix('./')}"
                if not member.isfile():
                    yield _failing(name, f"{name} is no file but a link in the tar; pack what it links to")
                elif member.size > MAX_BYTES:
                    yield _failing(name, f"{name} has {member.size:,} bytes, more than {MAX_BYTES:,}; shrink it")
                else:
                    content = tar.extractfile(member)
                    yield from_bytes(content.read() if content else b"", name)
                count += 1
                if count == piece.count:
                    return
    except (DataError, tarfile.TarError, OSError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())
        yield _failing(piece.location, f"{piece.location} is damaged after {count} image(s) of this piece: {reason}")
        return
    if piece.count is not None:
        yield _failing(piece.location, f"{piece.location} has changed: {piece.count - count} image(s) are gone")


def _parquet(piece: Piece) -> Iterator[Input]:
    try:
        with opened(piece.location) as stream:
            file = open_parquet(piece.location, stream)
            column = image_column_of(file)
            if column is None or piece.start >= file.num_row_groups:
                raise DataError("it has changed since it was listed")
            row = 0
            for cells in file.iter_batches(batch_size=_CELLS, row_groups=[piece.start], columns=[column]):
                for value in cells.column(0):
                    yield _of_cell(value.as_py(), f"{piece.location}/{piece.start:03d}-{row:05d}")
                    row += 1
    except (DataError, OSError, ValueError) as error:  # Arrow's exceptions are ValueErrors and OSErrors
        reason = " ".join(str(error).split())[:200]
        yield _failing(piece.location, f"{piece.location}, row group {piece.start}, cannot be read: {reason}")


def _of_cell(value: object, name: str) -> Input:
    try:
        return from_bytes(cell_bytes(value, name), name)
    except ConvlensError as error:
        return _failing(name, str(error))


def _packed(piece: Piece) -> Iterator[Input]:
    source = _opened_packed(piece.location)
    for name, place in zip(piece.names, piece.places, strict=True):
        record = Record(key=name, label="", path=f"{piece.location}/{piece.shard}", place=place)
        yield Input(name=name, prepare=partial(_prepare_packed, source, record))


def _prepare_packed(source: PackedSource, record: Record, preprocessing: Preprocessing) -> NDArray[np.float32]:
    return from_bytes(source.encoded(record), record.key).prepare(preprocessing)


@lru_cache(maxsize=4)
def _opened_packed(location: str) -> PackedSource:
    index = index_of(location)
    if index is None:
        raise DataError(f"{location} has no index of packed shards any more; put it back, or pack the data again")
    return packed_source(index, location)


def _arrays(piece: Piece) -> Iterator[Input]:
    source, records = _opened_arrays(piece.location)
    for record in records[piece.start : piece.start + (piece.count or 0)]:
        yield Input(name=record.key, prepare=partial(_prepare_array, source, record))


def _prepare_array(source: ImageSource, record: Record, preprocessing: Preprocessing) -> NDArray[np.float32]:
    image_HWC = source.read(record, channels=preprocessing.channels, at_least=None)
    return from_tensor(image_HWC, record.key).prepare(preprocessing)


@lru_cache(maxsize=2)
def _opened_arrays(location: str) -> tuple[ImageSource, tuple[Record, ...]]:
    listing = list_source(location, Columns())
    records = [record for members in listing.splits.values() for record in members]
    return listing.source, tuple(sorted(records, key=lambda record: record.key))


def _failing(name: str, reason: str) -> Input:
    def refuse(_: Preprocessing) -> NDArray[np.float32]:
        raise ConvlensError(reason)

    return Input(name=name, prepare=refuse)
