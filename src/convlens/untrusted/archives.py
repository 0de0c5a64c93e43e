"""Members of a ZIP archive, listed and read by one reader, so that no other can find something else in it."""

import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from convlens.untrusted.untrusted_bytes import UntrustedFileError

_MOST_MEMBERS = 100_000


def read_members(content: bytes, where: str | Path, expected: Callable[[str], bool]) -> dict[str, bytes]:
    """Read every member of an archive that stores them as they are, as PyTorch's do.

    Args:
        content: all of the file.
        where: its name, for messages.
        expected: whether an archive of this kind has a member of this name, given without the folder that all share.

    Returns:
        name without that folder -> bytes.

    Raises:
        UntrustedFileError: it is damaged, or has a member that is unexpected, compressed, encrypted or there twice.
    """
    members: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            listed = checked_list(archive, where)
            roots = {entry.filename.partition("/")[0] for entry in listed}
            for entry in listed:
                name = entry.filename.partition("/")[2]
                if len(roots) > 1 or not expected(name) or name in members:
                    raise UntrustedFileError(
                        f"{where} is refused: it has a member {entry.filename[:80]!r} that no such file has"
                    )
                members[name] = archive.read(entry)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, NotImplementedError) as error:
        raise UntrustedFileError(f"{where} is truncated or no archive ({_line(error)}); make it again") from None
    return members


def checked_list(archive: zipfile.ZipFile, where: str | Path) -> list[zipfile.ZipInfo]:
    """List the members of an archive, none of which may take more memory than it takes in the file.

    Raises:
        UntrustedFileError: a member is compressed or encrypted, or there are too many.
    """
    listed = archive.infolist()
    if len(listed) > _MOST_MEMBERS:
        raise UntrustedFileError(f"{where} is refused: it has {len(listed):,} members, more than {_MOST_MEMBERS:,}")
    for entry in listed:
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.file_size != entry.compress_size:
            raise UntrustedFileError(
                f"{where} is refused: its member {entry.filename[:80]!r} is compressed or encrypted, "
                "which PyTorch never writes"
            )
    return listed


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
