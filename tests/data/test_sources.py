import gzip
import io
import json
import os
import pickle
import struct
import tarfile

import numpy as np
import pyarrow
import pytest
from drawn import draw_classes
from pyarrow import parquet

from convlens import images
from convlens.data import DataError, Loader, open_dataset
from convlens.data.safe_pickle import read_arrays
from convlens.images import Preprocessing


def noise(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def sizes(dataset):
    return {name: len(records) for name, records in dataset.splits.items()}


def png(seed, size=(6, 9, 3)):
    file = io.BytesIO()
    images.reading.Image.fromarray(noise(seed, *size)).save(file, "png")
    return file.getvalue()


# IDX


def write_idx(path, array):
    content = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_mnist(folder, ending="", dot="-"):
    pixels, labels = {}, np.arange(60, dtype=np.uint8) % 3
    for part in ("train", "t10k"):
        pixels[part] = noise(len(part), 60, 7, 5)
        write_idx(folder / f"{part}-images{dot}idx3-ubyte{ending}", pixels[part])
        write_idx(folder / f"{part}-labels{dot}idx1-ubyte{ending}", labels)
    return pixels


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("dot", ["-", "."])
def test_mnists_files_are_read(tmp_path, ending, dot):
    pixels = write_mnist(tmp_path, ending, dot)
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("0", "1", "2")
    assert len(dataset.records("test")) == 60
    assert sizes(dataset)["train"] + sizes(dataset)["val"] == 60
    assert (dataset.channels, dataset.mirrors) == (1, False)
    for record in dataset.records("test")[::7]:
        np.testing.assert_array_equal(dataset.read(record)[:, :, 0], pixels["t10k"][record.place[0]])
        assert record.label == str(record.place[0] % 3)
    assert dataset.read(dataset.records("test")[0], channels=3).shape == (7, 5, 3)


def test_damaged_idx_files_are_named(tmp_path):
    write_idx(tmp_path / "train-images-idx3-ubyte", noise(0, 10, 4, 4))
    with pytest.raises(DataError, match="has no labels beside it; put train-labels-idx1-ubyte there"):
        open_dataset(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte", noise(0, 9))
    with pytest.raises(DataError, match=r"has the shape \(10, 4, 4\) and its labels \(9,\); they must fit"):
        open_dataset(tmp_path)
    for content, message in (
        (b"\0\0\x08\x03\0\0\0\x0a\0\0\0\x04\0\0\0\x04abc", "is truncated: it declares 10 × 4 × 4 values"),
        (b"PK\x03\x04", "is no IDX file of unsigned bytes"),
    ):
        other = tmp_path / str(len(content))
        other.mkdir()
        (other / "train-images-idx3-ubyte").write_bytes(content)
        write_idx(other / "train-labels-idx1-ubyte", noise(0, 10))
        with pytest.raises(DataError, match=message):
            open_dataset(other)


# CIFAR

CIFAR10 = ("airplane", "bird", "cat")


def cifar_rows(seed, count=12):
    pixels = noise(seed, count, 32, 32, 3)
    return pixels, pixels.transpose(0, 3, 1, 2).reshape(count, 3072), np.arange(count) % 3


def test_cifar_10_binary(tmp_path):
    expected = {}
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        pixels, rows, labels = cifar_rows(len(expected))
        expected[f"{name}.bin"] = pixels
        (tmp_path / f"{name}.bin").write_bytes(np.hstack([labels[:, None].astype(np.uint8), rows]).tobytes())
    (tmp_path / "batches.meta.txt").write_text("\n".join(CIFAR10) + "\n\n")
    dataset = open_dataset(tmp_path)
    assert dataset.classes == CIFAR10
    assert len(dataset.records("test")) == 12
    assert len(dataset.records("all")) == 72
    for record in dataset.records("all")[::5]:
        np.testing.assert_array_equal(dataset.read(record), expected[record.key.split("/")[0]][record.place[0]])
        assert record.label == CIFAR10[record.place[0] % 3]
    gray = dataset.read(dataset.records("test")[0], channels=1)
    luma = images.reading.Image.fromarray(dataset.read(dataset.records("test")[0])).convert("L")
    assert abs(gray[:, :, 0].astype(int) - np.asarray(luma)).max() <= 1
    (tmp_path / "test_batch.bin").write_bytes(b"\0" * 3000)
    os.utime(tmp_path / "test_batch.bin", (1, 1))


def write_cifar_100(folder):
    for split in ("train", "test"):
        _, rows, labels = cifar_rows(1)
        coarse = np.full((12, 1), 7, np.uint8)
        content = np.hstack([coarse, labels[:, None].astype(np.uint8), rows]).tobytes()
        (folder / f"{split}.bin").write_bytes(content)
    (folder / "fine_label_names.txt").write_text("\n".join(CIFAR10))


def test_cifar_100_binary_has_two_labels(tmp_path):
    write_cifar_100(tmp_path)
    dataset = open_dataset(tmp_path)
    assert [record.label for record in dataset.records("test")] == [CIFAR10[i % 3] for i in range(12)]
    np.testing.assert_array_equal(dataset.read(dataset.records("test")[4]), cifar_rows(1)[0][4])


def in_python_2(value):
    """Pickle as Python 2 did: byte strings, and NumPy under its old name."""
    content = pickle.dumps(value, protocol=2)
    return content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def write_cifar_python(folder, protocol=2):
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        _, rows, labels = cifar_rows(3)
        batch = {b"data": rows, b"labels": labels.tolist(), b"batch_label": b"x", b"filenames": ["a.png"] * 12}
        content = in_python_2(batch) if protocol == 2 else pickle.dumps(batch, protocol=4)
        (folder / name).write_bytes(content)
    (folder / "batches.meta").write_bytes(in_python_2({"label_names": list(CIFAR10), "num_vis": 3072}))


@pytest.mark.parametrize("protocol", [2, 4])
def test_cifar_python_version_is_read_without_unpickling(tmp_path, protocol):
    write_cifar_python(tmp_path, protocol)
    dataset = open_dataset(tmp_path)
    assert dataset.classes == CIFAR10
    np.testing.assert_array_equal(dataset.read(dataset.records("test")[5]), cifar_rows(3)[0][5])


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("evil",))


class Sly:
    def __reduce__(self):
        return (getattr, (np, "load"))


@pytest.mark.parametrize(
    "evil", [Evil(), Sly(), {"data": Evil()}, {"data": np.array([Evil()], object)}, {"data": os.path}]
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_asks_for_anything_else_is_refused(tmp_path, monkeypatch, evil, protocol):
    monkeypatch.chdir(tmp_path)
    try:
        content = pickle.dumps(evil, protocol=protocol)
    except TypeError:  # modules cannot be pickled: name one by hand
        content = b"cos\nsystem\n(S'mkdir evil'\ntR."
    with pytest.raises(DataError, match=r"batch is refused or damaged: it (asks for|holds an array of something else)"):
        read_arrays(content, "batch")
    assert not (tmp_path / "evil").exists()


def test_a_damaged_pickle_is_named():
    content = pickle.dumps({"data": noise(0, 40)}, protocol=2)
    for cut in range(1, len(content), 7):
        with pytest.raises(DataError, match="batch is refused or damaged"):
            read_arrays(content[:cut], "batch")
    with pytest.raises(DataError, match="batch holds no dictionary"):
        read_arrays(pickle.dumps([1, 2]), "batch")


# Tar shards


def write_tar(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def samples(first, count, label=lambda i: str(i % 2)):
    for i in range(first, first + count):
        yield f"{i:06d}.png", png(i)
        yield f"{i:06d}.cls", label(i).encode()


def test_shards_of_numbered_classes(tmp_path):
    write_tar(tmp_path / "train-0000.tar", samples(0, 10))
    write_tar(tmp_path / "train-0001.tar", samples(10, 10))
    write_tar(tmp_path / "val-0000.tar", samples(20, 4))
    (tmp_path / "classnames.txt").write_text("cat\ndog\n")
    dataset = open_dataset(tmp_path)
    assert sizes(dataset) == {"train": 20, "val": 4}
    assert dataset.classes == ("cat", "dog")
    for i, record in enumerate(dataset.records("train")):
        assert record.label == ("cat", "dog")[i % 2]
        np.testing.assert_array_equal(dataset.read(record), noise(i, 6, 9, 3))
    rgb = Preprocessing(size=(6, 9), mean=(0.5,) * 3, std=(0.5,) * 3)
    loaded = [b.images for e in range(2) for b in Loader(dataset, "train", rgb, batch_size=5, workers=2).epoch(e)]
    np.testing.assert_array_equal(loaded[0].numpy()[1], rgb.apply(noise(1, 6, 9, 3)))


def test_labels_of_every_kind(tmp_path):
    write_tar(
        tmp_path / "photos.tar",
        [
            *[(f"./cat/{i}.png", png(i)) for i in range(20)],
            *[(f"dog/{i}.png", png(i)) for i in range(20)],
            *[pair for i in range(20) for pair in ((f"{i}.png", png(i)), (f"{i}.json", b'{"label": "eel"}'))],
            *[pair for i in range(20) for pair in ((f"f{i}.txt", b"fox\n"), (f"f{i}.png", png(i)))],
            ("nothing.png", png(0)),
            ("._nothing.png", b"resource fork"),
        ],
    )
    dataset = open_dataset(tmp_path / "photos.tar")
    assert dataset.classes == ("cat", "dog", "eel", "fox")
    assert len(dataset.records("all")) == 80
    assert [file.key for file in dataset.bad_files] == ["photos.tar/nothing.png"]
    assert "has no label" in dataset.bad_files[0].reason


def test_unreadable_images_and_tars_are_named(tmp_path):
    broken = [("a.png", b"nothing"), ("a.cls", b"1")]
    write_tar(tmp_path / "train" / "0.tar", [*samples(0, 30), *broken])
    dataset = open_dataset(tmp_path)
    assert dataset.bad_files[0].key == "train/0.tar/a.png"
    assert dataset.bad_files[0].reason.startswith(
        "train/0.tar/a.png is not an image that can be read; it is a text file"
    )
    (tmp_path / "train" / "0.tar").write_bytes(gzip.compress(b"x" * 5000))
    with pytest.raises(DataError, match="cannot be read as an uncompressed tar"):
        open_dataset(tmp_path)


# Parquet with image bytes


def write_hub_file(path, first, count, names=("cat", "dog"), rows=4):
    path.parent.mkdir(parents=True, exist_ok=True)
    column = [{"bytes": png(i), "path": f"{i}.png"} for i in range(first, first + count)]
    table = pyarrow.table({"image": column, "label": [i % 2 for i in range(first, first + count)]})
    if names:
        features = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, path, row_group_size=rows)


def test_hub_data_sets(tmp_path):
    write_hub_file(tmp_path / "data" / "train-00000-of-00002.parquet", 0, 10)
    write_hub_file(tmp_path / "data" / "train-00001-of-00002.parquet", 10, 10)
    write_hub_file(tmp_path / "data" / "validation-00000-of-00001.parquet", 20, 6)
    (tmp_path / "README.md").write_text("A data set.")
    dataset = open_dataset(tmp_path)
    assert sizes(dataset) == {"train": 20, "val": 6}
    assert dataset.classes == ("cat", "dog")
    for i, record in enumerate(dataset.records("train")):
        np.testing.assert_array_equal(dataset.read(record), noise(i, 6, 9, 3))
        assert record.label == ("cat", "dog")[i % 2]
    clone = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(clone.read(clone.records("val")[1]), noise(21, 6, 9, 3))


def test_a_single_file_without_class_names(tmp_path):
    write_hub_file(tmp_path / "photos.parquet", 0, 40, names=())
    dataset = open_dataset(tmp_path / "photos.parquet")
    assert dataset.classes == ("0", "1")
    assert len(dataset.records("all")) == 40


def test_rows_without_image_or_label_are_bad(tmp_path):
    column = [{"bytes": png(i), "path": ""} for i in range(40)] + [
        {"bytes": None, "path": "x"},
        {"bytes": b"no", "path": ""},
    ]
    labels = ["cat", "dog"] * 20 + ["cat", "dog"]
    column.append({"bytes": png(0), "path": ""})
    labels.append(None)
    parquet.write_table(pyarrow.table({"image": column, "label": labels}), tmp_path / "photos.parquet")
    reasons = [file.reason for file in open_dataset(tmp_path / "photos.parquet", max_bad=0.1).bad_files]
    assert reasons[0].startswith("has no label")
    assert "holds no bytes" in reasons[1]
    assert "is not an image" in reasons[2]


def test_a_stray_table_does_not_hide_a_folder_of_images(tmp_path):
    draw_classes(tmp_path, {"cat": 20, "dog": 20})
    parquet.write_table(pyarrow.table({"x": [1]}), tmp_path / "cat" / "notes.parquet")
    write_tar(tmp_path / "backup.tar", [])
    dataset = open_dataset(tmp_path)
    assert len(dataset.records("all")) == 40
    assert any("not images (.parquet, .tar)" in note for note in dataset.notes)
