"""Members of a ZIP archive, listed and read by one reader, so that no other can find something else in it."""

import io
import zipfile
import zlib
from collections import Counter
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
            listed = checked_list(archive, len(content), where)
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


def checked_copy(content: bytes, where: str | Path) -> bytes:
    """Write anew what this reader finds in an archive, since another may find a second list of members in it.

    Raises:
        UntrustedFileError: a member is compressed, encrypted or there twice, or there are too many.
        zipfile.BadZipFile: it is damaged.
    """
    copy = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(copy, "w") as whole:
        for entry in checked_list(archive, len(content), where):
            whole.writestr(entry.filename, archive.read(entry))
    return copy.getvalue()


def checked_list(archive: zipfile.ZipFile, size: int, where: str | Path) -> list[zipfile.ZipInfo]:
    """List the members of an archive of `size` bytes, which may not take more memory than they take in the file.

    Raises:
        UntrustedFileError: a member is compressed, encrypted or there twice, or they overlap, or there are too many.
    """
    listed = archive.infolist()
    names = Counter(entry.filename for entry in listed)
    if len(listed) > _MOST_MEMBERS:
        raise UntrustedFileError(f"{where} is refused: it has {len(listed):,} members, more than {_MOST_MEMBERS:,}")
    for entry in listed:
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.file_size != entry.compress_size:
            raise UntrustedFileError(
                f"{where} is refused: its member {entry.filename[:80]!r} is compressed or encrypted, "
                "which PyTorch never writes"
            )
        if names[entry.filename] > 1:
            raise UntrustedFileError(f"{where} is refused: it has the member {entry.filename[:80]!r} twice")
    if sum(entry.file_size for entry in listed) > size:
        raise UntrustedFileError(f"{where} is refused: its members overlap, so that they are larger than the file")
    return listed


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
