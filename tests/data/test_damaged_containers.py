import tarfile
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from convlens.data import open_dataset
from convlens.errors import ConvlensError


def picture(number):
    buffer = BytesIO()
    Image.fromarray(np.full((8, 8), number, np.uint8)).save(buffer, "png")
    return buffer.getvalue()


def write_tar(path):
    with tarfile.open(path, "w") as tar:
        for number in range(8):
            for suffix, content in ((".png", picture(number)), (".cls", f"{number % 2}".encode())):
                entry = tarfile.TarInfo(f"{number:03}{suffix}")
                entry.size = len(content)
                tar.addfile(entry, BytesIO(content))


def with_size(path, size):
    """Give the first member another size, and its header the checksum that goes with it."""
    content = bytearray(path.read_bytes())
    content[124:136] = size
    content[148:156] = b" " * 8
    content[148:156] = f"{sum(content[:512]):06o}\0 ".encode()
    path.write_bytes(content)


@pytest.mark.parametrize(
    "size",
    [b"77777777777\0", b"\x80" + (2**60).to_bytes(11, "big"),
     b"\xff" * 11 + b"\x00"],
    ids=["eight gigabytes", "an exabyte", "less than nothing"],
)  # fmt: skip
def test_a_tar_whose_member_has_bytes_that_are_not_there(tmp_path, size):
    path = tmp_path / "train-0.tar"
    write_tar(path)
    with_size(path, size)
    with pytest.raises(ConvlensError, match=r"train-0\.tar"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_tar_is_one_line_or_read(tmp_path, seed):
    path = tmp_path / "train-0.tar"
    write_tar(path)
    whole = path.read_bytes()
    for place in np.random.default_rng(seed).integers(0, 5000, 60):
        changed = bytearray(whole)
        changed[place] ^= 255
        path.write_bytes(changed)
        try:
            dataset = open_dataset(tmp_path)
            for name in dataset.splits:
                for record in dataset.records(name):
                    dataset.read(record, channels=1)
        except ConvlensError as error:
            assert "\n" not in str(error)  # noqa: PT017 - most changes are harmless


def test_parquet_that_stands_for_more_rows_than_are_read(tmp_path, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    from convlens.data import parquet as ours

    path = tmp_path / "train-0.parquet"
    rows = {"image": [picture(i) for i in range(20)], "label": [i % 2 for i in range(20)]}
    parquet.write_table(pa.table(rows), path)
    open_dataset(tmp_path)
    monkeypatch.setattr(ours, "_MOST_ROWS", 10)
    with pytest.raises(ConvlensError, match=r"train-0\.parquet .* 20 rows .* write smaller row groups"):
        open_dataset(tmp_path)


def test_a_damaged_parquet_is_one_line_or_read(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "train-0.parquet"
    rows = {"image": [picture(i) for i in range(20)], "label": [i % 2 for i in range(20)]}
    parquet.write_table(pa.table(rows), path)
    whole = path.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(whole), 400):
        changed = bytearray(whole)
        changed[place] ^= 255
        path.write_bytes(changed)
        try:
            dataset = open_dataset(tmp_path)
            for name in dataset.splits:
                for record in dataset.records(name):
                    dataset.read(record, channels=1)
        except ConvlensError as error:
            assert "\n" not in str(error)  # noqa: PT017 - most changes are harmless
