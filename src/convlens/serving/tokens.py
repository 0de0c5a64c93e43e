"""The bearer token: read from a file that nobody else can read, compared in constant time."""

import hmac
import os
import stat
from pathlib import Path

from convlens.errors import ConvlensError

SHORTEST = 16


class TokenError(ConvlensError):
    """A token file that cannot be used; the message says why."""


def read_token(path: str | Path) -> str:
    """Read the token from a file.

    Raises:
        TokenError: the file is missing, readable by others, or holds no token of at least 16 visible ASCII characters.
    """
    try:
        with Path(path).open("rb") as file:
            _refuse_if_others_can_read(path, os.fstat(file.fileno()).st_mode)
            content = file.read(10_000)
    except OSError as error:
        raise TokenError(f"the token file {path} cannot be opened: {error.strerror or error}") from None
    token = content.strip()
    if len(token) < SHORTEST or not all(33 <= byte <= 126 for byte in token):
        raise TokenError(
            f"the token file {path} holds no token of at least {SHORTEST} visible ASCII characters on one line; "
            "write one with: (umask 077; openssl rand -hex 32 > FILE)"
        )
    return token.decode("ascii")


def allows(token: str, authorization: bytes | None) -> bool:
    """Whether an Authorization header carries the token; takes the same time wherever they differ."""
    scheme, _, given = (authorization or b"").partition(b" ")
    return hmac.compare_digest(given.strip(), token.encode("ascii")) and scheme.lower() == b"bearer"


def _refuse_if_others_can_read(path: str | Path, mode: int) -> None:
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise TokenError(
            f"the token file {path} has mode {stat.S_IMODE(mode):o}, so others can read it; run: chmod 600 {path}"
        )
