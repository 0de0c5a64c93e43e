"""The way to an address: which file system it needs, and in one line what went wrong on the way."""

from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import Any

from convlens.data.dataset import DataError
from convlens.images import MAX_BYTES

# scheme -> the package that fsspec needs for it, and the extra that brings it
_NEEDS = {
    "http": ("aiohttp", "data"),
    "https": ("aiohttp", "data"),
    "s3": ("s3fs", "remote"),
    "s3a": ("s3fs", "remote"),
}


def is_address(source: str | Path) -> bool:
    """Whether a source is an address and not a local path."""
    return "://" in str(source)


def file_system(address: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        extra = _NEEDS.get(address.split("://")[0], ("", "data"))[1]
        raise DataError(f"{address} needs fsspec; run pip install 'convlens[{extra}]'") from None
    system, path = url_to_fs(address)
    return system, path


def contents(address: str, *, most: int = MAX_BYTES) -> bytes:
    """The bytes of a file behind an address.

    Raises:
        DataError: it cannot be reached, or has more bytes than `most`.
    """
    with explaining(address):
        system, path = file_system(address)
        with system.open(path, "rb") as file:
            content = bytes(file.read(most + 1))
    if len(content) > most:
        raise DataError(f"{address} has more than {most:,} bytes; shrink it")
    return content


@contextmanager
def explaining(address: str) -> Iterator[None]:
    """Say in one line what went wrong on the way to an address."""
    try:
        yield
    except DataError:
        raise
    except ImportError as error:
        package, extra = _NEEDS.get(address.split("://")[0], ("", ""))
        if package:
            raise DataError(f"{address} needs {package}; run pip install 'convlens[{extra}]'") from None
        raise DataError(f"{address} needs another package: {error}") from None
    except FileNotFoundError:
        raise DataError(f"{address} is not there; check the address") from None
    # Every protocol brings the exceptions of its own client.
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
            raise DataError(f"{address} cannot be kept: {error.strerror}; set CONVLENS_CACHE to another disk") from None
        reason = " ".join(str(error).split()) or type(error).__name__
        if type(error).__name__ == "NoCredentialsError":
            reason += "; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or FSSPEC_S3_ANON=true for a public bucket"
        raise DataError(f"{address} cannot be reached: {reason}") from None
