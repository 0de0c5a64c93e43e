"""The bytes of an artifact, read once and compared with their seal before anything looks into them."""

from pathlib import Path

from convlens.artifacts.manifest import PREFIX, ArtifactError
from convlens.untrusted.sealing import check_seal
from convlens.untrusted.untrusted_bytes import UntrustedFileError, read_whole


def read_sealed(path: Path) -> bytes:
    """Read a file that convlens wrote.

    Raises:
        ArtifactError: it is not an artifact, or a byte of it has changed.
    """
    try:
        content = read_whole(path)
        if PREFIX.rstrip(".").encode() not in content:
            raise ArtifactError(
                f"{path} says neither its classes nor its preprocessing, so it is not an artifact of convlens; "
                "make one with convlens export"
            )
        check_seal(content, path)
    except UntrustedFileError as error:
        raise ArtifactError(str(error)) from None
    return content
