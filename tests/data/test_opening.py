import numpy as np
import pytest
from PIL import Image

from convlens.data import DataError, open_dataset


def draw(path, shade):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 9, 3), shade, np.uint8)).save(path)


def test_digits_have_a_fixed_stratified_split():
    digits = open_dataset("digits")
    assert {name: len(records) for name, records in digits.splits.items()} == {"train": 1257, "val": 180, "test": 360}
    assert min(digits.counts("test").values()) >= 34
    assert digits.fingerprint() == open_dataset("digits").fingerprint()


def test_a_folder_without_splits_is_split_and_adding_files_moves_no_old_one(tmp_path):
    for i in range(40):
        draw(tmp_path / "cat" / f"{i}.png", i)
        draw(tmp_path / "dog" / f"{i}.png", i)
    before = {r.key: name for name, rs in open_dataset(tmp_path).splits.items() for r in rs}
    for i in range(40, 60):
        draw(tmp_path / "cat" / f"{i}.png", i)
    after = {r.key: name for name, rs in open_dataset(tmp_path).splits.items() for r in rs}
    assert {after[key] for key in before} == {"train", "val", "test"}
    assert {key: after[key] for key in before} == before


def test_unreadable_files_are_named_and_left_out(tmp_path):
    for i in range(30):
        draw(tmp_path / "cat" / f"{i}.png", i)
        draw(tmp_path / "dog" / f"{i}.png", i)
    (tmp_path / "dog" / "bad.jpg").write_text("no image")
    dataset = open_dataset(tmp_path)
    assert [file.key for file in dataset.bad_files] == ["dog/bad.jpg"]
    assert len(dataset.records("all")) == 60
    with pytest.raises(DataError, match=r"1 of 61 files .* dog/bad\.jpg .*--max-bad"):
        open_dataset(tmp_path, max_bad=0.01)
