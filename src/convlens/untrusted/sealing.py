"""A digest inside the file that it is of, so that one changed byte is noticed wherever it is.

Every format has some place for a text. There the writer leaves `BLANK` under the name `seal`; `seal` puts the SHA-256
of the whole file, the blank included, in its place. A seal shows damage. It is no signature: whoever can write the file
can seal it again, so that a sealed file is still a file from elsewhere.
"""

import hashlib
import re

from convlens.untrusted.untrusted_bytes import UntrustedFileError

NAME = "seal"
BLANK = "0" * 64
# How a JSON object, a protobuf map, an XML attribute and the comment of a ZIP archive write `seal` and its value.
_PLACE = re.compile(rb'seal(?:": ?"|\x12\x40| value="|=)([0-9a-f]{64})')


def seal(content: bytes) -> bytes:
    """Put the digest of `content` where it is blank."""
    blank = [place for place in _PLACE.finditer(content) if place[1] == BLANK.encode()]
    assert len(blank) == 1, f"{len(blank)} places for a seal; the writer leaves one"
    begin, end = blank[0].span(1)
    return content[:begin] + hashlib.sha256(content).hexdigest().encode() + content[end:]


def check_seal(content: bytes, where: object) -> None:
    """Compare a file's content with its seal.

    Args:
        content: all of the file.
        where: its name, for the message.

    Raises:
        UntrustedFileError: it has no seal, or a byte of it has changed since it was sealed.
    """
    for place in _PLACE.finditer(content):
        begin, end = place.span(1)
        digest = hashlib.sha256(content[:begin])
        digest.update(BLANK.encode())
        digest.update(memoryview(content)[end:])
        if digest.hexdigest().encode() == place[1]:
            return
    raise UntrustedFileError(
        f"{where} is damaged, incomplete or not sealed by convlens: no digest in it is that of its content; "
        "copy it again, or make it again"
    )
