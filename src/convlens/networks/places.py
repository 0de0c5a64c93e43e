"""Where published weights are on this machine: a folder of one's own, installed packages, and the cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from convlens.errors import ConvlensError
from convlens.files import cache_folder
from convlens.networks.published import PublishedWeights, published_weights

VARIABLE = "CONVLENS_WEIGHTS"


class DamagedWeightsError(ConvlensError):
    """A file with the name of published weights and another content."""


def find(weights: PublishedWeights) -> Path | None:
    """Return where the file of published weights is, None if it is not on this machine.

    Looked for in the folder that the environment's CONVLENS_WEIGHTS names, in the package that carries it, and among
    the downloads, in this order. Its content is not looked at; `checked` does.

    Raises:
        ConvlensError: CONVLENS_WEIGHTS is not a folder, or cannot be read.
    """
    try:
        return next((path for path in _candidates(weights) if path.is_file()), None)
    except OSError as error:
        raise ConvlensError(f"weights cannot be looked for: {error}; mend {VARIABLE} or unset it") from None


def checked(weights: PublishedWeights, path: Path) -> Path:
    """Return `path` if its content is what was published.

    Raises:
        DamagedWeightsError: its SHA-256 is another.
    """
    found = sha256(path)
    if not found.startswith(weights.sha256_prefix):
        digits = len(weights.sha256_prefix)
        raise DamagedWeightsError(
            f"{str(path)!r} is not what was published as {weights.name} of {weights.network}: its SHA-256 begins with "
            f"{found[:digits][:16]}, not {weights.sha256_prefix[:16]}; {_remedy(weights, path)}"
        )
    return path


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def installed(network: str) -> PublishedWeights | None:
    """Return the weights that a network is used with if nobody says which: the most accurate ones that are here.

    Only weights that classify count. None if no such weights are on this machine.
    """
    return _most_accurate([weights for weights in _classifying(network) if find(weights) is not None])


def default(network: str) -> PublishedWeights | None:
    """Return `installed(network)`, else the most accurate weights that could be had; None where none were published."""
    return installed(network) or _most_accurate(_classifying(network))


def shared_folder() -> Path | None:
    """The folder that CONVLENS_WEIGHTS names, such as one on a network drive; None if it names none.

    Raises:
        ConvlensError: it is not a folder.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise ConvlensError(f"{VARIABLE}={named!r} is not a folder; make or mount it, or unset the variable")
    return folder


def download_folder() -> Path:
    """Where downloads go: the shared folder if it can be written, else the cache."""
    shared = shared_folder()
    return shared if shared is not None and os.access(shared, os.W_OK) else cache_folder() / "weights"


def _classifying(network: str) -> list[PublishedWeights]:
    return [weights for weights in published_weights(network).values() if weights.class_names]


def _most_accurate(candidates: list[PublishedWeights]) -> PublishedWeights | None:
    return max(candidates, key=lambda weights: weights.top1 or 0.0, default=None)


def _candidates(weights: PublishedWeights) -> Iterator[Path]:
    if folder := shared_folder():
        yield folder / weights.file_name
    if packaged := _in_package(weights):
        yield packaged
    yield cache_folder() / "weights" / weights.file_name


def _in_package(weights: PublishedWeights) -> Path | None:
    if weights.package is None:
        return None
    try:
        return Path(str(distribution(weights.package.name).locate_file(weights.package.file)))
    except PackageNotFoundError:
        return None


def _remedy(weights: PublishedWeights, path: Path) -> str:
    if weights.package is not None and path == _in_package(weights):
        return weights.package.install.replace("install", "install --force-reinstall", 1)
    return "remove the file, and get it again"
