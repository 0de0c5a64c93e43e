"""Where a run was made: versions, the commit of the working folder, the time."""

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from convlens import __version__

_PACKAGES = ("torch", "numpy", "pillow", "scikit-learn", "safetensors")


def versions() -> dict[str, str]:
    """Versions of Python, of Convlens and of what results depend on."""
    found = {"convlens": __version__, "python": platform.python_version(), "system": platform.system()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """The commit of the folder that the command runs in, with a + if files were changed since; None outside git."""
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return None
    return f"{commit}+" if _git("status", "--porcelain", "--untracked-files=no") else commit


def now() -> str:
    """The time in UTC, to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
