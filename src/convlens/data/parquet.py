"""Parquet files, opened with a clear word when pyarrow or the file is not in order."""

from pathlib import Path
from typing import Any

from convlens.data.dataset import DataError


def open_parquet(path: Path | Any) -> Any:
    """Open a pyarrow.parquet.ParquetFile.

    Raises:
        DataError: pyarrow is not installed, or the file is no Parquet.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise DataError(f"{path} needs pyarrow; run pip install 'convlens[data]'") from None
    try:
        return parquet.ParquetFile(path)
    except ArrowException as error:
        raise DataError(f"{path} is no Parquet file: {' '.join(str(error).split())}") from None
