"""How data may lie, and what is said where images or classes would be lost."""

import io
import os
import tarfile

import numpy as np
import pyarrow
import pytest
from drawn import draw, draw_classes
from PIL import Image
from pyarrow import parquet

from convlens import images
from convlens.cli.main import main
from convlens.data import DataError, open_dataset
from convlens.data.findings import check
from convlens.data.opening import survey
from convlens.errors import ConvlensError


def sizes(dataset):
    return {name: len(records) for name, records in dataset.splits.items()}


def faults(path):
    return {fault.kind: fault.detail for fault in survey(path).faults}


def png(seed):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 7, 3), np.uint8)).save(file, "png")
    return file.getvalue()


def write_tar(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


# Containers


def numbered(first, count, folder=""):
    for i in range(first, first + count):
        yield f"{folder}{i:06d}.png", png(i)
        yield f"{folder}{i:06d}.cls", str(i % 3).encode()


def test_shards_of_equal_names_in_several_splits_share_no_key(tmp_path):
    for first, split in ((0, "train"), (60, "val"), (120, "test")):
        write_tar(tmp_path / "data" / split / "0000.tar", numbered(first, 30))
        members = dict(numbered(0, 30))  # the names of members repeat as well
        write_tar(tmp_path / "same" / split / "0000.tar", members.items())
    for name in ("data", "same"):
        dataset = open_dataset(tmp_path / name, check_files=False)
        assert sizes(dataset) == {"train": 30, "val": 30, "test": 30}
        assert len({record.key for record in dataset.records("all")}) == 90
    (tmp_path / "list.txt").write_text("train/0000.tar/000005.png\n")
    assert sizes(open_dataset(tmp_path / "same", exclude=tmp_path / "list.txt")) == {"train": 29, "val": 30, "test": 30}


@pytest.mark.parametrize("labelled", [True, False])
def test_splits_inside_a_tar_are_kept(tmp_path, labelled):
    members = []
    for first, split in ((0, "train"), (60, "valid"), (90, "test")):
        for i in range(first, first + 30):
            folder = f"photos/{split}/" + ("" if labelled else f"{'abc'[i % 3]}/")
            members.append((f"{folder}{i:06d}.png", png(i)))
            members += [(f"{folder}{i:06d}.cls", "abc"[i % 3].encode())] if labelled else []
    write_tar(tmp_path / "photos.tar", members)
    dataset = open_dataset(tmp_path / "photos.tar")
    assert sizes(dataset) == {"train": 30, "val": 30, "test": 30}
    assert dataset.classes == ("a", "b", "c")
    key = dataset.records("test")[0].key
    assert key.startswith("photos.tar/photos/test/")


def test_classes_in_a_tar_may_lie_below_one_folder_and_be_called_train(tmp_path):
    write_tar(tmp_path / "a.tar", [(f"all/{name}/{i}.png", png(i)) for name in ("bus", "train") for i in range(20)])
    dataset = open_dataset(tmp_path / "a.tar", check_files=False)
    assert dataset.classes == ("bus", "train")
    assert dataset.drawn


def write_parquet(path, first, count, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    column = [{"bytes": png(i), "path": f"{i}.png"} for i in range(first, first + count)]
    table = {"image": column, "label": [i % 2 for i in range(first, first + count)]} | more
    parquet.write_table(pyarrow.table(table), path, row_group_size=4)


@pytest.mark.parametrize("form", ["{split}/0000.parquet", "data/{split}/0.parquet", "photos-{split}-0.parquet"])
def test_splits_of_parquet_files_are_found_at_every_level(tmp_path, form):
    for first, split in ((0, "train"), (20, "validation"), (30, "test")):
        write_parquet(tmp_path / form.format(split=split), first, 10)
    dataset = open_dataset(tmp_path)
    assert sizes(dataset) == {"train": 10, "val": 10, "test": 10}
    assert len({record.key for record in dataset.records("all")}) == 30


def test_a_parquet_column_may_name_the_split(tmp_path):
    write_parquet(tmp_path / "a.parquet", 0, 30, split=["train", "val", "test"] * 10)
    assert sizes(open_dataset(tmp_path / "a.parquet")) == {"train": 10, "val": 10, "test": 10}


def test_shards_of_which_some_name_no_split_are_refused(tmp_path):
    write_tar(tmp_path / "train-0.tar", numbered(0, 30))
    write_tar(tmp_path / "extra.tar", numbered(30, 30))
    with pytest.raises(DataError, match=r"30 images such as extra\.tar/000030\.png are in no split and others"):
        open_dataset(tmp_path)
    assert check(survey(tmp_path)).of("half_divided")


@pytest.mark.parametrize("damage", ["a header cut", "the end cut", "a header changed", "two tars joined"])
def test_a_shard_that_ends_before_its_end_is_named_and_counted(tmp_path, damage):
    path = tmp_path / "train-0.tar"
    write_tar(path, numbered(0, 60))
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        at = [member.offset for member in tar]
    changed = whole[: at[80]] + b"?" + whole[at[80] + 1 :]
    path.write_bytes(
        {"a header cut": whole[: at[80] + 100], "the end cut": whole[: at[80]], "a header changed": changed}.get(
            damage, whole + whole
        )
    )
    write_tar(tmp_path / "train-1.tar", numbered(60, 30))
    with pytest.raises(DataError, match=r"train-0\.tar \(.*train-0\.tar is damaged: .*000...\."):
        open_dataset(tmp_path, max_bad=0.0)
    dataset = open_dataset(tmp_path, max_bad=0.9)
    assert len(dataset.records("all")) == 30 + (59 if damage == "two tars joined" else 39)
    (bad,) = dataset.bad_files
    assert bad.key == "train-0.tar"
    assert bad.images in {"a header changed": range(15, 30), "two tars joined": range(55, 80)}.get(damage, range(1, 3))


def test_every_picture_of_a_tar_is_listed_whatever_dots_its_name_has(tmp_path):
    names = ["cat/a.1.png", "cat/a.2.png", "/dog/b.v2.final.PNG", "../dog/c.jpg.png", "./dog/d.png"]
    write_tar(tmp_path / "a.tar", [(name, png(i)) for i, name in enumerate(names)])
    dataset = open_dataset(tmp_path / "a.tar")
    assert sorted(record.key for record in dataset.records("all")) == [
        "a.tar/cat/a.1.png", "a.tar/cat/a.2.png", "a.tar/dog/b.v2.final.PNG", "a.tar/dog/c.jpg.png",
        "a.tar/dog/d.png",
    ]  # fmt: skip
    masked = [("0.jpg.png", png(1)), ("0.png", png(2)), ("0.cls", b"1"), ("1.png", png(3)), ("1.cls", b"0")]
    write_tar(tmp_path / "masks.tar", masked)
    keys = {record.key for record in open_dataset(tmp_path / "masks.tar").records("all")}
    assert keys == {"masks.tar/0.png", "masks.tar/1.png"}


@pytest.mark.parametrize(
    ("suffix", "label"),
    [(".json", '{"label": null}'), (".json", '{"label": [1, 2]}'), (".json", "[" * 100_000), (".cls", "7"),
     (".cls", "-1"), (".txt", "a cat\non a mat")],
    ids=["null", "several", "deep", "beyond the names", "negative", "a description"],
)  # fmt: skip
def test_what_is_no_label_makes_no_class(tmp_path, suffix, label):
    write_tar(tmp_path / "a.tar", [*numbered(0, 30), ("x.png", png(99)), (f"x{suffix}", label.encode())])
    (tmp_path / "classes.txt").write_text("\ufeffred\ngreen\nblue\u2028black\n")
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("blue\\u2028black", "green", "red")
    assert [bad.key for bad in dataset.bad_files] == ["a.tar/x.png"]


@pytest.mark.parametrize("content", [b"caf\xe9\nb\nc\n", b"cat\ncat\ndog\n"], ids=["no UTF-8", "a name twice"])
def test_class_names_of_shards_that_cannot_be_used_are_refused(tmp_path, content):
    write_tar(tmp_path / "a.tar", numbered(0, 9))
    (tmp_path / "classnames.txt").write_bytes(content)
    with pytest.raises(ConvlensError, match=r"classnames\.txt"):
        open_dataset(tmp_path)


def test_a_digit_that_is_no_number_is_a_name(tmp_path):
    write_tar(
        tmp_path / "a.tar",
        [(f"{i}.{s}", png(i) if s == "png" else "²³"[i % 2].encode()) for i in range(20) for s in ("png", "cls")],
    )
    (tmp_path / "classes.txt").write_text("x\ny\n")
    assert open_dataset(tmp_path).classes == ("²", "³")


def test_labels_of_a_parquet_column_of_floats(tmp_path):
    write_parquet(tmp_path / "a.parquet", 0, 20, label=[0.0, 1.0] * 9 + [float("nan"), None])
    dataset = open_dataset(tmp_path, max_bad=0.2)
    assert dataset.classes == ("0", "1")
    assert len(dataset.bad_files) == 2


def test_parquet_files_that_do_not_fit_together(tmp_path):
    write_parquet(tmp_path / "train.parquet", 0, 10)
    write_parquet(tmp_path / "test.parquet", 10, 10)
    table = parquet.read_table(tmp_path / "test.parquet")
    parquet.write_table(table.rename_columns(["picture", "label"]), tmp_path / "test.parquet")
    with pytest.raises(DataError, match="has its images in the column 'image', and others in 'picture'"):
        open_dataset(tmp_path)
    write_parquet(tmp_path / "test.parquet", 10, 10, label=[[1, 2]] * 10)
    with pytest.raises(DataError, match="several values a row in the column 'label'"):
        open_dataset(tmp_path)


def test_a_picture_beside_shards_does_not_hide_them(tmp_path):
    write_tar(tmp_path / "train" / "0.tar", numbered(0, 30))
    draw(tmp_path / "logo.png")
    assert len(open_dataset(tmp_path, check_files=False).records("all")) == 30


# Folders


def test_class_names_are_compared_across_splits(tmp_path, capsys):
    for number, (train, val) in enumerate((("red", "Red"), ("caf\u00e9", "cafe\u0301"), ("a_b", "a b"))):
        root = tmp_path / str(number)
        draw_classes(root / "train", {train: 12, "blue": 12})
        draw_classes(root / "val", {val: 6, "blue": 6})
        assert main(["check", str(root), "--strict"]) == 1
        assert "name_clash" in capsys.readouterr().out
        with pytest.raises(DataError, match="differ only in case, spaces or the spelling of accents"):
            open_dataset(root)
        with pytest.raises(DataError, match="of the network differ only in case"):
            open_dataset(root, classes=[train, "blue"])


@pytest.mark.parametrize(
    "form",
    [
        "{0}ing_set/{0}ing_set/{1}",
        "seg_{0}/seg_{0}/{1}",
        "{0}2017/{1}",
        "{0} images/{1}",
        "{0}-data/{1}",
        "x/{0}set/{1}",
    ],
)
def test_split_words_in_other_spellings(tmp_path, form):
    for split, count in (("train", 10), ("test", 5)):
        draw_classes(tmp_path, {form.format(split, name): count for name in ("cat", "dog")})
    dataset = open_dataset(tmp_path, check_files=False)
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.records("test")) == 10
    assert not dataset.faults


def test_classes_whose_names_hold_split_words_are_classes(tmp_path):
    draw_classes(tmp_path, {"bullet_train": 9, "freight_train": 9, "test tube": 9})
    assert open_dataset(tmp_path, check_files=False).classes == ("bullet_train", "freight_train", "test tube")


def test_classes_one_folder_deeper_in_each_split_are_an_error(tmp_path):
    for split in ("train", "val"):
        draw_classes(tmp_path / split / "images", {"cat": 9, "dog": 9})
    with pytest.raises(DataError, match="the classes lie in train/images, one folder too deep; move what is in images"):
        open_dataset(tmp_path)
    assert check(survey(tmp_path)).of("nested")


@pytest.mark.skipif(os.name != "posix", reason="such names are refused elsewhere")
def test_classes_of_folders_whose_names_cannot_be_written(tmp_path):
    odd = ("line\nbreak", os.fsdecode(b"no\xffUTF"), "para\u2029graph", "tab\tname")
    draw_classes(tmp_path, dict.fromkeys((*odd, "käfer"), 4))
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("käfer", r"line\nbreak", r"no\udcffUTF", r"para\u2029graph", r"tab\tname")
    assert not dataset.faults
    assert open_dataset(tmp_path, classes=dataset.classes).counts("train")[r"tab\tname"] == 2
    assert "".join(dataset.classes).encode()


def test_a_class_name_that_differs_in_what_no_screen_shows(tmp_path):
    draw_classes(tmp_path / "train", {"red": 9, "blue": 9})
    draw_classes(tmp_path / "val", {"red\u200b": 9, "blue": 9})
    with pytest.raises(DataError, match=r"'red' of train and 'red\\u200b' of val differ"):
        open_dataset(tmp_path)


def test_a_class_that_is_only_in_validation_is_an_error_of_the_check(tmp_path):
    draw_classes(tmp_path / "train", {"ant": 12, "bee": 12})
    draw_classes(tmp_path / "val", {"ant": 6, "wasp": 6})
    result = check(survey(tmp_path))
    assert [finding.detail.split(";")[0] for finding in result.of("unseen_class")] == [
        "class 'wasp' of val is not in train"
    ]
    assert result.images == 36
    assert len(result.dataset.records("val")) == 12


def test_a_class_of_files_that_no_decoder_reads_is_an_error(tmp_path, capsys):
    draw_classes(tmp_path, {"cat": 60, "dog": 60})
    (tmp_path / "eel").mkdir()
    for suffix in ("svg", "CR2", "dcm"):
        (tmp_path / "eel" / f"a.{suffix}").write_bytes(b"\x00\x01something")
    assert main(["check", str(tmp_path), "--strict", "--json"]) == 1
    assert "class 'eel': none of its 3 image(s) can be read" in capsys.readouterr().out
    with pytest.raises(DataError, match="class 'eel' would be lost: none of its 3 image"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("inner", ["", "train/"])
def test_a_folder_in_a_folder_of_the_same_name(tmp_path, inner, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    draw_classes(tmp_path / "photos" / "photos" / inner, {"cat": 40, "dog": 40})
    if inner:  # the word train leaves no doubt
        assert open_dataset("photos").classes == ("cat", "dog")
        return
    assert faults("photos") == {"nested": "everything lies in the folder photos; give photos/photos"}
    with pytest.raises(DataError, match="everything lies in the folder photos; give photos/photos"):
        open_dataset("photos")
    assert main(["check", "photos", "--strict"]) == 1
    assert "80 images in 2 classes" in capsys.readouterr().out
    assert open_dataset("photos/photos").classes == ("cat", "dog")


def test_test_in_test_as_competitions_unpack(tmp_path):
    draw_classes(tmp_path / "train" / "train", {"cat": 40, "dog": 40})
    draw_classes(tmp_path / "test" / "test", {"cat": 5, "dog": 5})
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert sizes(dataset)["test"] == 10
    draw(tmp_path / "other" / "test" / "test" / "1.png")
    draw_classes(tmp_path / "other" / "train", {"cat": 40, "dog": 40})
    said = "test/test holds 1 images in no class folder, which are left out; make it test/test/<class>/<image>"
    assert faults(tmp_path / "other") == {"unlabelled": said}
    assert said in open_dataset(tmp_path / "other").notes


def test_classes_may_be_called_like_splits(tmp_path):
    draw_classes(tmp_path / "flat", {"train": 20, "test": 20, "bus": 20})
    assert open_dataset(tmp_path / "flat").classes == ("bus", "test", "train")
    for split in ("train", "val"):
        draw_classes(tmp_path / "divided" / split, {"train": 20, "bus": 20})
    assert open_dataset(tmp_path / "divided").classes == ("bus", "train")
    draw_classes(tmp_path / "odd" / "train", {"steam": 20, "diesel": 20})
    draw_classes(tmp_path / "odd", {"bus": 20, "car": 20})
    with pytest.raises(DataError, match=r"train looks like a split and bus, with 20 images, lies beside it: move bus"):
        open_dataset(tmp_path / "odd")


def test_a_stray_image_in_a_split_does_not_make_classes_of_the_splits(tmp_path):
    for split in ("train", "val"):
        draw_classes(tmp_path / split, {"cat": 20, "dog": 20})
    draw(tmp_path / "train" / "overview.png")
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert "unlabelled" in faults(tmp_path)


def test_splits_without_classes_are_no_classes(tmp_path):
    for split in ("train", "test"):
        for i in range(5):
            draw(tmp_path / split / f"{i}.png")
    with pytest.raises(DataError, match="test holds 5 images in no class folder"):
        open_dataset(tmp_path)


def test_splits_may_lie_below_the_classes(tmp_path):
    for name in ("cat", "dog"):
        draw_classes(tmp_path / name, {"train": 20, "val": 5, "test": 6})
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert sizes(dataset) == {"train": 40, "val": 10, "test": 12}
    for name in ("bottle", "cable"):
        draw_classes(tmp_path / "parts" / name / "train", {"good": 9, "bad": 9})
    with pytest.raises(DataError, match=r"the class may be 'bottle' or 'bad'; give .*parts/bottle"):
        open_dataset(tmp_path / "parts")


def test_a_run_inside_a_class_hides_no_image(tmp_path):
    draw_classes(tmp_path, {"cat": 20, "dog": 20})
    draw(tmp_path / "cat" / "runs" / "x" / "samples.png")
    (tmp_path / "cat" / "runs" / "x" / "run.yaml").write_text("")
    assert len(open_dataset(tmp_path, check_files=False).records("all")) == 40


# Names


ODD = ["line\nbreak.png", "tab\there.png", "sep\u2028arator.png", '"quoted".png', " blank .png", "x" * 242 + ".png"]


def test_names_of_every_kind_are_kept_apart_and_written_down(tmp_path, capsys):
    root = tmp_path / "data"
    draw_classes(root, {"cat": 12, "dog": 12})
    for number, name in enumerate(ODD):
        draw(tmp_path / "drawn.png", seed=500 + number, size=(40, 40))
        (root / "cat" / name).write_bytes((tmp_path / "drawn.png").read_bytes())
    (root / "cat" / "same.png").write_bytes((root / "cat" / ODD[0]).read_bytes())
    odd = os.fsencode(root / "dog") + b"/\xff\xfe.png"  # no UTF-8
    os.link(root / "cat" / ODD[1], odd)
    page, listed = tmp_path / "check.html", tmp_path / "list.txt"
    assert main(["check", str(root), "--html", str(page), "--write-list", str(listed)]) == 0
    assert main(["check", str(root), "--json"]) == 0
    capsys.readouterr()
    assert "\\u2028" not in page.read_text().split("<h2")[0]
    result = check(survey(root))
    dropped = {key for key, _ in result.exclusions()}
    assert {"cat/" + ODD[1], os.fsdecode(b"dog/\xff\xfe.png")} <= dropped
    left = {record.key for record in open_dataset(root, exclude=listed).records("all")}
    assert left == {record.key for record in survey(root).records("all")} - dropped
    assert len(open_dataset(root).fingerprint()) == 32


# Formats


@pytest.mark.parametrize(("suffix", "kind"), [("avif", "AVIF"), ("jp2", "JPEG2000"), ("heic", "HEIF"), ("jxl", "JXL")])
def test_newer_formats_are_images_like_others(tmp_path, suffix, kind):
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    if kind == "JXL":
        pytest.importorskip("pillow_jxl")
    picture = Image.fromarray(np.tile(np.linspace(0, 255, 64).astype(np.uint8)[:, None, None], (1, 48, 3)))
    for name in ("cat", "dog"):
        for i in range(12):
            (tmp_path / name).mkdir(exist_ok=True)
            picture.save(tmp_path / name / f"{i}.{suffix}", kind, quality=90)
    dataset = open_dataset(tmp_path)
    assert len(dataset.records("all")) == 24
    pixels = dataset.read(dataset.records("train")[0])
    assert np.abs(pixels.astype(int) - np.asarray(picture)).max() <= 12


def test_a_format_whose_decoder_is_missing_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    content = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40
    with pytest.raises(images.ImageError, match=r"is HEIC, which is not read here; run pip install 'convlens\[heic\]'"):
        images.read(content)
    monkeypatch.setitem(__import__("sys").modules, "pillow_jxl", None)
    with pytest.raises(images.ImageError, match=r"is JPEG XL, which is not read here; run pip install .convlens\[jxl"):
        images.read(b"\xff\x0a" + b"\0" * 40)
