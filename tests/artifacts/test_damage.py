import shutil

import numpy as np
import pytest

import convlens
from convlens.artifacts import FORMATS, ArtifactError
from convlens.errors import ConvlensError

CHANGES = 60


def places(length, count=CHANGES):
    """Offsets all over a file, its first and last bytes among them."""
    drawn = np.random.default_rng(length).integers(0, length, count)
    return sorted({0, 7, 8, 9, length - 1, length // 2, *drawn.tolist()})


def copied(path, folder):
    for file in path.parent.glob(f"{path.stem}.*"):
        shutil.copy(file, folder)
    return [folder / path.with_suffix(suffix).name for suffix in FORMATS[_format(path)].suffixes]


def _format(path):
    return next(row.name for row in FORMATS.values() if row.suffixes[0] == path.suffix)


@pytest.mark.parametrize("to", list(FORMATS))
def test_one_changed_byte_is_noticed_wherever_it_is(artifacts, tmp_path, to):
    named, *_ = files = copied(artifacts(to), tmp_path)
    convlens.load(named)
    for file in files:
        whole = file.read_bytes()
        for place in places(len(whole)):
            changed = bytearray(whole)
            changed[place] ^= 1 << place % 8
            file.write_bytes(changed)
            with pytest.raises(ConvlensError) as caught:
                convlens.load(named)
            assert file.stem in str(caught.value)
            assert "\n" not in str(caught.value)
        file.write_bytes(whole)
    convlens.load(named)


@pytest.mark.parametrize("to", list(FORMATS))
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99, 1.01])
def test_a_file_that_is_cut_or_longer_is_noticed(artifacts, tmp_path, to, share):
    named, *_ = files = copied(artifacts(to), tmp_path)
    for file in files:
        whole = file.read_bytes()
        length = int(len(whole) * share)
        file.write_bytes((whole + bytes(len(whole)))[:length])
        with pytest.raises(ArtifactError, match=file.stem):
            convlens.load(named)
        file.write_bytes(whole)


def test_a_file_larger_than_any_artifact_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "net.onnx"
    with path.open("wb") as file:
        file.truncate(9_000_000_000)  # a hole: it takes no room
    with pytest.raises(ArtifactError, match=r"net\.onnx has 9,000,000,000 bytes, more than 8,000,000,000"):
        convlens.load(path)
