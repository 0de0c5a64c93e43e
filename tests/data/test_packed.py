"""Packed shards: what is written, and that they stream as the data they were made of."""

import json
import logging
import pickle
import tarfile

import numpy as np
import pytest
from drawn import draw_classes
from test_remote import s3, served  # noqa: F401

from convlens.cli.main import main
from convlens.data import Augmentation, DataError, Loader, open_dataset, packed
from convlens.data.order import streamed
from convlens.data.packing import pack
from convlens.images import Preprocessing

RGB = Preprocessing(size=(6, 9), mean=(0.5,) * 3, std=(0.5,) * 3)


@pytest.fixture
def source(tmp_path):
    draw_classes(tmp_path / "photos", {"cat": 60, "dog": 60})
    return tmp_path / "photos"


def packed_at(source, out, kind="tar", size=6000):
    pack(open_dataset(source), out, kind=kind, shard_bytes=size)
    return out


def epochs(dataset, count=1, batch=7, start=0, **how):
    loader = Loader(dataset, "train", RGB, batch_size=batch, augmentation=Augmentation(), seed=3, cache="none", **how)
    return [batch for epoch in range(count) for batch in loader.epoch(epoch, start_step=start)]


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_packed_data_are_the_data(source, tmp_path, kind):
    plain = open_dataset(source)
    shards = open_dataset(packed_at(source, tmp_path / "packed", kind))
    assert len(list((tmp_path / "packed").glob(f"*.{kind}"))) >= 6
    assert shards.classes == plain.classes
    assert shards.fingerprint() == plain.fingerprint()
    assert shards.notes == ()
    ours = {record.key: record for record in shards.records("all")}
    for record in plain.records("all"):
        np.testing.assert_array_equal(shards.read(ours[record.key]), plain.read(record))
    clone = pickle.loads(pickle.dumps(shards))
    np.testing.assert_array_equal(clone.read(clone.records("val")[0]), shards.read(shards.records("val")[0]))


def test_others_can_read_the_shards(source, tmp_path):
    out = packed_at(source, tmp_path / "packed")
    with tarfile.open(next(out.glob("train-*.tar"))) as tar:
        assert {name.split(".")[1] for name in tar.getnames()} == {"png", "cls"}
    (out / "index.json").unlink()  # without ours, they are shards like any others
    dataset = open_dataset(out)
    assert {name: len(records) for name, records in dataset.splits.items()} == {"train": 96, "val": 12, "test": 12}
    assert dataset.classes == ("cat", "dog")


def test_packing_is_the_same_every_time_and_whole_or_nothing(source, tmp_path):
    one, two = packed_at(source, tmp_path / "one"), packed_at(source, tmp_path / "two")
    assert {f.name: f.read_bytes() for f in one.iterdir()} == {f.name: f.read_bytes() for f in two.iterdir()}
    with pytest.raises(DataError, match="one is there already; give a folder that is new or empty"):
        packed_at(source, tmp_path / "one")
    dataset = open_dataset(source)
    (source / "cat" / "3.png").unlink()
    with pytest.raises(Exception, match=r"3\.png cannot be opened"):
        pack(dataset, tmp_path / "three")
    assert not [path.name for path in tmp_path.iterdir() if "three" in path.name]


def test_digits_are_packed_as_png(tmp_path):
    digits = open_dataset("digits")
    pack(digits, tmp_path / "packed")
    dataset = open_dataset(tmp_path / "packed")
    assert (dataset.channels, dataset.mirrors, len(dataset.records("all"))) == (1, False, 1797)
    record = dataset.records("test")[7]
    original = next(r for r in digits.records("test") if r.key == record.key)
    np.testing.assert_array_equal(dataset.read(record), digits.read(original))


def test_an_epoch_is_exact_shuffled_and_resumable(source, tmp_path):
    dataset = open_dataset(packed_at(source, tmp_path / "packed"))
    seen = [np.concatenate([batch.indices.numpy() for batch in epochs(dataset, batch=8)]) for _ in range(2)]
    assert sorted(seen[0].tolist()) == list(range(96))
    assert seen[0].tolist() == seen[1].tolist() != list(range(96))
    whole, resumed = epochs(dataset), epochs(dataset, start=5, workers=0)
    for a, b in zip(whole[5:], resumed, strict=True):
        assert a.step == b.step
        assert a.images.equal(b.images)
        assert a.labels.equal(b.labels)


def test_streaming_shuffles_within_a_buffer_and_each_sample_comes_once():
    shards = np.repeat(np.arange(50), 40)
    order = streamed(1, 2, shards, buffer=200)
    assert sorted(order.tolist()) == list(range(2000))
    assert order.tolist() == streamed(1, 2, shards, buffer=200).tolist()
    assert order.tolist() != streamed(1, 3, shards, buffer=200).tolist()
    open_at = [len(set(shards[order[i : i + 100]].tolist())) for i in range(0, 1900, 100)]
    assert max(open_at) < 45  # of 50 shards: those that are in the buffer
    assert np.mean(open_at) > 4
    first = {shard: int(np.flatnonzero(shards[order] == shard)[0]) for shard in range(50)}
    assert sorted(first, key=first.get) != list(range(50))


def damage(out, number=0):
    shard = sorted(out.glob("train-*.tar"))[number]
    content = bytearray(shard.read_bytes())
    content[700] ^= 1
    shard.write_bytes(content)
    return shard


def test_a_damaged_shard_is_named_and_left_out(source, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(packed, "_PAUSES_S", (0.0, 0.0))
    out = packed_at(source, tmp_path / "packed")
    shard = damage(out)
    dataset = open_dataset(out)
    lost = sum(record.path == str(shard) for record in dataset.records("train"))
    with caplog.at_level(logging.WARNING, logger="convlens"):
        batches = epochs(dataset, batch=8, max_bad=0.5)
    seen = np.concatenate([batch.indices.numpy() for batch in batches])
    assert len(seen) == len(set(seen.tolist())) == 96 - lost
    assert all(len(batch.images) == len(batch.labels) == len(batch.indices) for batch in batches)
    assert [record.message.split(";")[0] for record in caplog.records] == [
        f"{shard} is not what was packed: its SHA-256 is another"
    ]
    with pytest.raises(DataError, match=r"of 96 images are lost with it, more than 1 %: copy it again"):
        epochs(dataset, max_bad=0.01)


def test_a_missing_or_cut_shard_is_a_bad_file_before_training(source, tmp_path):
    out = packed_at(source, tmp_path / "packed")
    shards = sorted(out.glob("train-*.tar"))
    shards[0].unlink()
    shards[1].write_bytes(shards[1].read_bytes()[:1000])
    dataset = open_dataset(out, max_bad=0.5)
    assert {str(shards[0]), str(shards[1])} == {file.reason.split(" ")[0] for file in dataset.bad_files}
    with pytest.raises(DataError, match=r"cannot be read, more than 5 %"):
        open_dataset(out)


def test_a_damaged_index_is_one_line(source, tmp_path):
    out = packed_at(source, tmp_path / "packed")
    (out / "records.jsonl").write_text("")
    with pytest.raises(DataError, match=r"records\.jsonl is not the one that index\.json was written with"):
        open_dataset(out)
    index = json.loads((out / "index.json").read_text())
    del index["shards"]
    (out / "index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match=r"is not the one|index\.json is damaged"):
        open_dataset(out)


def test_shards_behind_http_are_streamed(served, tmp_path):  # noqa: F811
    folder, address = served
    draw_classes(tmp_path / "photos", {"cat": 60, "dog": 60})
    packed_at(tmp_path / "photos", folder / "packed")
    here, there = open_dataset(folder / "packed"), open_dataset(f"{address}/packed")
    assert there.fingerprint() == here.fingerprint()
    for a, b in zip(epochs(here, 2), epochs(there, 2), strict=True):
        assert a.images.equal(b.images)


def test_shards_in_a_bucket_are_streamed_and_tried_again(s3, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(packed, "_PAUSES_S", (0.0, 0.0))
    draw_classes(tmp_path / "photos", {"cat": 60, "dog": 60})
    packed_at(tmp_path / "photos", s3.folder / "bucket" / "packed")
    here, there = open_dataset(s3.folder / "bucket" / "packed"), open_dataset("s3://bucket/packed")
    asked = len(s3.got(".tar"))
    assert asked == 0  # nothing but the index is read before training
    fetched, failed = packed.Downloads.fetched, []

    def flaky(self, address, *rest):
        if address.endswith("train-00001.tar") and not failed:
            failed.append(address)
            raise DataError("the line is cut")
        return fetched(self, address, *rest)

    monkeypatch.setattr(packed.Downloads, "fetched", flaky)
    for a, b in zip(epochs(here), epochs(there), strict=True):
        assert a.images.equal(b.images)
    assert failed == ["s3://bucket/packed/train-00001.tar"]


def test_the_command(source, tmp_path, capsys):
    assert main(["pack", str(source), str(tmp_path / "out"), "--shards", "--shard-mb", "0.006", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["images"] == 120
    assert said["shards"] == len(list((tmp_path / "out").glob("*.tar")))
    settings = ["--network", "lenet5", "--epochs", "1", "--no-tune", "--runs", str(tmp_path / "runs"), "--quiet"]
    assert main(["train", str(tmp_path / "out"), *settings]) == 0
    assert main(["pack", str(source), str(tmp_path / "out")]) == 2
    assert main(["pack", str(source), str(tmp_path / "new"), "--shard-mb", "0"]) == 2
