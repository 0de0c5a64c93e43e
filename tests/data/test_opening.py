import os

import numpy as np
import pytest
from drawn import draw, draw_classes

from convlens.data import DataError, open_dataset
from convlens.data.exclusions import read_exclusions, write_exclusions
from convlens.data.opening import survey
from convlens.errors import ConvlensError


def sizes(dataset):
    return {name: len(records) for name, records in dataset.splits.items()}


def test_digits_have_a_fixed_stratified_split():
    digits = open_dataset("digits")
    assert sizes(digits) == {"train": 1257, "val": 180, "test": 360}
    assert min(digits.counts("test").values()) >= 34
    assert len({record.key for record in digits.records("all")}) == 1797
    assert digits.fingerprint() == open_dataset("digits").fingerprint()
    pixels = digits.read(digits.records("test")[0])
    assert pixels.shape == (8, 8, 1)
    assert max(digits.read(record).max() for record in digits.records("val")) == 255
    assert not digits.mirrors


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_split_folders_are_taken_as_they_are(tmp_path, val):
    for split, count in (("train", 4), (val, 2), ("test", 3)):
        draw_classes(tmp_path / split, {"dog": count, "cat": count})
    dataset = open_dataset(tmp_path)
    assert sizes(dataset) == {"train": 8, "val": 4, "test": 6}
    assert dataset.classes == ("cat", "dog")
    assert dataset.records("val")[0].key == f"{val}/cat/0.png"
    assert not [note for note in dataset.notes if "two splits" not in note]  # the drawn images repeat themselves
    assert dataset.read(dataset.records("test")[0]).shape == (6, 9, 3)


def test_validation_is_taken_from_training_where_it_is_missing(tmp_path):
    draw_classes(tmp_path / "train", {"dog": 60, "cat": 60})
    draw_classes(tmp_path / "test", {"dog": 5, "cat": 5})
    dataset = open_dataset(tmp_path)
    assert len(dataset.records("test")) == 10
    assert 2 <= len(dataset.records("val")) <= 30
    assert len(dataset.records("all")) == 130


def test_a_class_may_be_called_train(tmp_path):
    draw_classes(tmp_path, {"train": 20, "bus": 20})
    assert open_dataset(tmp_path).classes == ("bus", "train")


def test_adding_files_moves_hardly_any_old_one(tmp_path):
    draw_classes(tmp_path, {"cat": 40, "dog": 40})
    before = {r.key: name for name, rs in open_dataset(tmp_path).splits.items() for r in rs}
    draw_classes(tmp_path, {"cat": 42, "bird": 10})
    after = {r.key: name for name, rs in open_dataset(tmp_path).splits.items() for r in rs}
    assert sum(after[key] != before[key] for key in before) <= 4  # two of the class for each image that came
    assert all(after[key] == before[key] for key in before if key.startswith("dog"))


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, (1, 0, 0)), (2, (1, 1, 0)), (3, (1, 1, 1)), (10, (8, 1, 1)), (25, (19, 3, 3)), (100, (80, 10, 10))],
)
def test_every_class_has_its_share_of_every_split(tmp_path, count, expected):
    draw_classes(tmp_path, {"cat": count, "dog": 100})
    dataset = open_dataset(tmp_path, check_files=False)
    got = [dataset.counts(split)["cat"] if split in dataset.splits else 0 for split in ("train", "val", "test")]
    assert tuple(got) == expected


def test_what_is_left_out_moves_nothing_to_another_split(tmp_path):
    draw_classes(tmp_path / "data", {"cat": 40, "dog": 40})
    before = {r.key: name for name, rs in open_dataset(tmp_path / "data").splits.items() for r in rs}
    write_exclusions(tmp_path / "list.txt", [(f"cat/{i}.png", "") for i in range(10)])
    kept = open_dataset(tmp_path / "data", exclude=tmp_path / "list.txt").splits
    assert all(before[record.key] == name for name, records in kept.items() for record in records)


def test_a_class_of_one_image_is_trained_on(tmp_path):
    draw_classes(tmp_path, {f"class {i}": 1 for i in range(20)})
    dataset = open_dataset(tmp_path)
    assert len(dataset.classes) == 20
    assert sizes(dataset) == {"train": 20}


def test_what_is_ignored_is_said(tmp_path):
    draw_classes(tmp_path, {"cat": 20, "dog": 20})
    draw(tmp_path / "loose.png")
    draw(tmp_path / "cat" / "kittens" / "deep.PNG")  # a folder in a class belongs to the class
    draw(tmp_path / "cat" / ".thumb.png")
    draw(tmp_path / ".ipynb_checkpoints" / "a.png")
    draw(tmp_path / "dog" / ".ipynb_checkpoints" / "a.png")
    draw(tmp_path / "runs" / "train" / "photos" / "samples.png")
    (tmp_path / "runs" / "train" / "photos" / "run.yaml").write_text("")
    (tmp_path / "dog" / "notes.txt").write_text("")
    (tmp_path / "bird").mkdir()
    dataset = open_dataset(tmp_path)
    assert len(dataset.records("all")) == 41
    assert dataset.classes == ("cat", "dog")
    said = "\n".join(dataset.notes)
    for sentence in (
        "ignored 3 hidden",
        "ignored 1 file(s) that are not images (.txt)",
        "ignored 1 image(s) that lie in no class folder",
        "ignored runs: it holds runs",
        "bird is empty; add its images, or remove it",
        "split automatically",
    ):
        assert sentence in said


def test_what_lies_beside_the_splits_is_said(tmp_path):
    draw_classes(tmp_path / "train", {"cat": 30, "dog": 30})
    draw_classes(tmp_path / "raw", {"cat": 3})
    assert "raw with 3 images lies beside train and is left out" in open_dataset(tmp_path).notes
    assert [fault.kind for fault in survey(tmp_path).faults] == ["beside_splits"]


def test_classes_are_matched_by_name_in_every_split(tmp_path):
    draw_classes(tmp_path / "train", {"ant": 3, "bee": 3, "cat": 3})
    draw_classes(tmp_path / "val", {"cat": 2, "aardvark": 1})
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("ant", "bee", "cat")
    np.testing.assert_array_equal(dataset.labels("val"), [2, 2])
    assert any("class 'aardvark' of val is not in train; its 1 image(s) are left out" in n for n in dataset.notes)
    assert "class 'ant' has no image in val" in dataset.notes


def test_a_network_keeps_its_order_of_classes(tmp_path):
    draw_classes(tmp_path / "test", {"ant": 1, "cat": 2, "dog": 1})
    dataset = open_dataset(tmp_path, classes=["dog", "cat", "bee"])
    assert dataset.classes == ("dog", "cat", "bee")
    np.testing.assert_array_equal(dataset.labels("test"), [1, 1, 0])
    assert "class 'ant' is unknown to the network; its 1 images are left out" in dataset.notes
    assert "class 'bee' of the network has no image here" in dataset.notes
    assert dataset.matched_to(dataset.classes).notes == dataset.notes
    with pytest.raises(
        DataError, match="has the classes 'ant', 'cat', 'dog' and the network knows 'x': none in common"
    ):
        open_dataset(tmp_path, classes=["x"])


def test_unreadable_files_are_named_counted_and_left_out(tmp_path):
    draw_classes(tmp_path, {"cat": 30, "dog": 30})
    (tmp_path / "dog" / "a.jpg").write_text("no image")
    (tmp_path / "dog" / "b.jpg").touch()
    (tmp_path / "dog" / "c.png").write_bytes((tmp_path / "dog" / "1.png").read_bytes()[:90])
    (tmp_path / "dog" / "d.png").symlink_to("nowhere.png")
    seen = []
    dataset = open_dataset(tmp_path, max_bad=0.1, on_progress=lambda done, of: seen.append((done, of)))
    reasons = {file.key: file.reason for file in dataset.bad_files}
    assert list(reasons) == ["dog/a.jpg", "dog/b.jpg", "dog/c.png", "dog/d.png"]
    for reason, expected in zip(reasons.values(), ("text file", "0 bytes", "decoded", "No such file"), strict=True):
        assert expected in reason
    assert len(dataset.records("all")) == 60
    assert seen[-1] == (64, 64)
    with pytest.raises(DataError, match=r"4 of 64 files .* cannot be read, more than 5 %; .*dog/a\.jpg .*--max-bad"):
        open_dataset(tmp_path)
    assert len(open_dataset(tmp_path, check_files=False).records("all")) == 64


def test_a_class_without_a_readable_image_is_refused(tmp_path):
    draw_classes(tmp_path, {"cat": 30, "dog": 30})
    (tmp_path / "eel").mkdir()
    (tmp_path / "eel" / "a.jpg").touch()
    with pytest.raises(DataError, match=r"class 'eel' would be lost: none of its 1 image.* eel/a\.jpg .*0 bytes"):
        open_dataset(tmp_path)
    (tmp_path / "list.txt").write_text("eel/a.jpg\n")
    assert open_dataset(tmp_path, exclude=tmp_path / "list.txt").classes == ("cat", "dog")


def test_a_list_of_exclusions_is_obeyed(tmp_path):
    draw_classes(tmp_path / "data", {"cat": 30, "dog": 30})
    write_exclusions(tmp_path / "list.txt", [("cat/3.png", "near duplicate\nof cat/4.png"), ("gone.png", "")])
    assert read_exclusions(tmp_path / "list.txt") == {"cat/3.png", "gone.png"}
    dataset = open_dataset(tmp_path / "data", exclude=tmp_path / "list.txt")
    assert len(dataset.records("all")) == 59
    assert any("left out 1 of the 2 image(s) listed" in note for note in dataset.notes)
    with pytest.raises(DataError, match=r"the list .*nothing\.txt cannot be opened: No such file"):
        open_dataset(tmp_path / "data", exclude=tmp_path / "nothing.txt")


def test_the_fingerprint_follows_the_data_and_not_the_place(tmp_path):
    for place in ("here", "there"):
        draw_classes(tmp_path / place, {"cat": 9, "dog": 9})
    here, there = open_dataset(tmp_path / "here"), open_dataset(tmp_path / "there")
    assert here.fingerprint() == there.fingerprint()
    draw(tmp_path / "there" / "dog" / "9.png")
    assert open_dataset(tmp_path / "there").fingerprint() != here.fingerprint()


def test_a_loop_of_links_ends(tmp_path):
    draw_classes(tmp_path, {"cat": 20, "dog": 20})
    (tmp_path / "cat" / "again").symlink_to(tmp_path / "cat")
    assert len(open_dataset(tmp_path).records("all")) == 40


def test_a_pipe_does_not_stop_the_walk(tmp_path):
    draw_classes(tmp_path, {"cat": 20, "dog": 20})
    os.mkfifo(tmp_path / "cat" / "pipe.jpg")
    assert len(open_dataset(tmp_path).records("all")) == 40


def test_wrong_input_is_answered_with_one_line(tmp_path):
    draw_classes(tmp_path / "one", {"cat": 5})
    draw_classes(tmp_path / "held out" / "test", {"cat": 5, "dog": 5})
    draw(tmp_path / "loose" / "a.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").touch()
    for source, message in (
        ("nowhere", "nowhere does not exist; give a folder of images"),
        ("empty", "empty holds no images in class folders; expected <class>/<image>"),
        ("loose", r"holds no images in class folders \(1 lie loose in it\)"),
        ("one", "one has a single class to train on, 'cat'; give at least two"),
        ("held out", "held out has no training split, only test; add train/<class>/<image>"),
        ("file.txt", r"file\.txt is nothing to train on; give a folder of images, a \.csv or \.parquet table"),
    ):
        with pytest.raises(DataError, match=message):
            open_dataset(tmp_path / source)
    with pytest.raises(DataError, match="max_bad=5; give a share between 0 and 1"):
        open_dataset("digits", max_bad=5)
    with pytest.raises(ConvlensError, match="unknown split 'tset'; did you mean test"):
        open_dataset("digits").records("tset")


def test_held_out_images_of_one_class_can_be_evaluated(tmp_path):
    draw_classes(tmp_path, {"cat": 8})
    dataset = open_dataset(tmp_path, classes=["cat", "dog"])
    assert len(dataset.records("all")) == 8


def test_leaks_and_contradictions_are_noted_before_training(tmp_path):
    for split, first in (("train", 0), ("val", 50), ("test", 100)):
        for i in range(6):
            draw(tmp_path / split / "cat" / f"{i}.png", seed=first + i)
            draw(tmp_path / split / "dog" / f"{i}.png", seed=first + 200 + i)
    assert open_dataset(tmp_path).notes == ()
    draw(tmp_path / "val" / "cat" / "x.png", seed=2)
    draw(tmp_path / "train" / "dog" / "y.png", seed=3)
    draw(tmp_path / "train" / "Dog" / "1.png", seed=999)
    said = "\n".join(open_dataset(tmp_path).notes)
    assert (
        "1 image(s) are in two splits, so the evaluation is too good, such as train/cat/2.png and val/cat/x.png" in said
    )
    assert "1 image(s) are in two classes, such as train/cat/3.png and train/dog/y.png; see convlens check" in said
    assert "'Dog' of train and 'dog' of train/val/test differ only in case" in said
