"""Published weights from where they are: here already, or downloaded; resumed, checked, whole or not there."""

from __future__ import annotations

import http.client
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from convlens import __version__
from convlens.errors import ConvlensError
from convlens.networks import places
from convlens.networks.published import PublishedWeights, published_weights

_BLOCK = 1 << 20
_TIMEOUT_S = 30.0
_PAUSES_S = (0.5, 1.0, 2.0)  # before the second, third and fourth try


class DownloadError(ConvlensError):
    """Weights that could not be had; the message says which file to put where."""


class _WorthAnotherTryError(Exception):
    pass


def fetch(weights: PublishedWeights) -> Path:
    """Return the file of published weights, downloaded if it is not on this machine, its SHA-256 checked in any case.

    The download goes through the proxy that the environment names (`https_proxy`), to a temporary name that a later
    call goes on with; several processes at once download it once.

    Raises:
        DownloadError: no connection, no such file, or another content than published.
        DamagedWeightsError: the file that is here has another content than published.
        ConvlensError: the weights come in a package that is not installed.
    """
    if (here := places.find(weights)) is not None:
        return places.checked(weights, here)
    if weights.url is None:
        raise ConvlensError(f"the weights {weights.name} of {weights.network} are not installed; {_packaged(weights)}")
    target = places.download_folder() / weights.file_name
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not target.is_file():
            _download(weights, target)
    return target


def _packaged(weights: PublishedWeights) -> str | None:
    """The command that installs a network's weights, None if no package has any; those asked for are preferred."""
    for each in (weights, *published_weights(weights.network).values()):
        if each.package is not None:
            return each.package.install if each is weights else f"{each.package.install} (it has {each.name})"
    return None


def _download(weights: PublishedWeights, target: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    reason: Exception | None = None
    for pause in (0.0, *_PAUSES_S):
        time.sleep(pause)
        try:
            _go_on(weights, part)
        except _WorthAnotherTryError as error:
            reason = error
            continue
        except OSError as error:
            raise _could_not(weights, target, error) from None
        part.replace(target)
        return
    raise _could_not(weights, target, reason) from None


def _go_on(weights: PublishedWeights, part: Path) -> None:
    """Download what is missing of the temporary file, and check it."""
    there = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": f"convlens/{__version__}"}
    if there:
        headers["Range"] = f"bytes={there}-"
    assert weights.url is not None
    try:
        request = urllib.request.Request(weights.url, headers=headers)
        # a new opener, because the one that urlopen keeps knows the proxies of its first call only
        with urllib.request.build_opener().open(request, timeout=_TIMEOUT_S) as answer:
            if answer.status != http.client.PARTIAL_CONTENT:
                there = 0
            _write(answer, part, there)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            pass  # the temporary file has all there is; the check below decides
        elif error.code >= 500 or error.code in (408, 429):
            raise _WorthAnotherTryError(error) from None
        else:
            raise
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
        raise _WorthAnotherTryError(error) from None
    _check(weights, part)


def _write(answer: http.client.HTTPResponse, part: Path, there: int) -> None:
    length = answer.headers.get("Content-Length")
    expected = there + int(length) if length else None
    with part.open("r+b" if there else "wb") as file, _progress(part.stem, expected, there) as advance:
        file.seek(there)
        while block := answer.read(_BLOCK):
            file.write(block)
            advance(len(block))
        written = file.tell()
    if expected is not None and written < expected:
        raise _WorthAnotherTryError(f"the connection was cut after {written} of {expected} bytes")


def _check(weights: PublishedWeights, part: Path) -> None:
    digest = places.sha256(part)
    if not digest.startswith(weights.sha256_prefix):
        part.unlink()
        raise _WorthAnotherTryError(
            f"its SHA-256 begins with {digest[:8]} where {weights.sha256_prefix[:8]} was published"
        )


@contextmanager
def _progress(name: str, total: int | None, done: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, if somebody sees it."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=total, completed=done)
        yield lambda count: progress.advance(task, count)


def _could_not(weights: PublishedWeights, target: Path, reason: Exception | None) -> DownloadError:
    cause = reason.args[0] if isinstance(reason, _WorthAnotherTryError) else reason
    why = cause.reason if type(cause) is urllib.error.URLError else cause
    install = _packaged(weights)
    return DownloadError(
        f"{weights.file_name} could not be downloaded ({' '.join(str(why).split())}); "
        f"get it from {weights.url} and put it into {target.parent}{f', or {install}' if install else ''}"
    )
