"""A run on another runtime: exported once, proved, and kept in the cache."""

import hashlib
from pathlib import Path

from convlens import files, runs
from convlens.artifacts.formats import find_format
from convlens.predicting.versions import versions


def converted(run: Path, to: str) -> Path:
    """Give the artifact of a run in a format, made and proved when it is first asked for.

    Raises:
        ProofError: the artifact does not answer as the run does.
    """
    from convlens.shipping.exporting import export

    folder = runs.open_folder(run)
    digest = hashlib.sha256(folder.weights_path().read_bytes())
    digest.update((folder.path / "run.yaml").read_bytes())
    digest.update(repr(sorted(versions().items())).encode())
    row = find_format(to)
    path = files.cache_folder() / "artifacts" / f"{digest.hexdigest()[:24]}{row.suffixes[0]}"
    if not all(path.with_suffix(suffix).is_file() for suffix in row.suffixes):
        export(run, to, out=path)
    return path
