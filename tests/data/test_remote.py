import http.server
import itertools
import json
import os
import sys
import threading
from functools import partial
from typing import ClassVar

import numpy as np
import pandas
import pytest
from drawn import draw_classes
from s3_server import s3_server
from test_sources import (
    samples,
    sizes,
    write_cifar_100,
    write_cifar_python,
    write_hub_file,
    write_mnist,
    write_tar,
)

from convlens.data import DataError, open_dataset
from convlens.data.downloads import Downloads
from convlens.files import cache_folder
from convlens.images import Preprocessing
from convlens.predicting.bulk import predict_to_file


class Quiet(http.server.SimpleHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def log_message(self, format, *arguments):
        if self.command == "GET":
            self.asked.append(self.path)


@pytest.fixture
def served(tmp_path):
    """A local server for a folder, and its address."""
    folder = tmp_path / "served"
    folder.mkdir()
    Quiet.asked.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_folder_behind_http(served):
    folder, address = served
    draw_classes(folder / "my photos" / "train", {"cat": 8, "black dog": 8})
    draw_classes(folder / "my photos" / "test", {"cat": 2, "black dog": 2})
    dataset = open_dataset(f"{address}/my photos/")
    assert dataset.classes == ("black dog", "cat")
    assert len(dataset.records("test")) == 4
    assert dataset.records("test")[0].key == "test/black dog/0.png"
    assert dataset.read(dataset.records("test")[0]).shape == (6, 9, 3)
    fetched = [path for path in Quiet.asked if path.endswith(".png")]
    assert len(fetched) == len(set(fetched)) == 20  # checked and read, but fetched once
    here = open_dataset(folder / "my photos")
    assert [record.key for record in dataset.records("all")] == [record.key for record in here.records("all")]


def test_a_table_behind_http(served):
    folder, address = served
    draw_classes(folder / "images", {"cat": 20, "dog": 20})
    rows = [{"path": f"images/{name}/{i}.png", "label": name} for name in ("cat", "dog") for i in range(20)]
    pandas.DataFrame(rows).to_csv(folder / "table.csv", index=False)
    dataset = open_dataset(f"{address}/table.csv")
    assert len(dataset.records("all")) == 40
    assert dataset.read(dataset.records("all")[0]).shape == (6, 9, 3)
    (folder / "images" / "cat" / "3.png").unlink()
    assert open_dataset(f"{address}/table.csv").bad_files == ()  # it was fetched before


def test_containers_behind_http_are_fetched_once(served):
    folder, address = served
    write_tar(folder / "shards" / "train-0.tar", samples(0, 30))
    write_hub_file(folder / "hub" / "train-00000-of-00001.parquet", 0, 20)
    for _ in range(2):
        assert sizes(open_dataset(f"{address}/shards/train-0.tar"))["train"] > 20
        assert open_dataset(f"{address}/hub").classes == ("cat", "dog")
        assert len(open_dataset(f"{address}/shards").records("all")) == 30
    assert sum(path.endswith("train-0.tar") for path in Quiet.asked) <= 2  # by two ways: a file, and a file in a folder
    assert list((cache_folder() / "downloads").rglob("*.part")) == []


def test_any_file_system_that_fsspec_knows(tmp_path):
    import fsspec

    draw_classes(tmp_path / "photos", {"cat": 15, "dog": 15})
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "photos"), "/bucket/photos", recursive=True)
    dataset = open_dataset("memory://bucket/photos")
    assert len(dataset.records("all")) == 30
    assert dataset.name == "photos"
    memory.rm("/bucket", recursive=True)


def test_many_files_are_fetched_at_once(tmp_path, monkeypatch):
    import fsspec

    draw_classes(tmp_path / "photos", {"cat": 10, "dog": 10})
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "photos"), "/far/photos", recursive=True)
    eight, numbers, fetched = threading.Barrier(8, timeout=60), itertools.count(), Downloads.fetched

    def slowly(self, address, *arguments):
        if next(numbers) < 8:
            eight.wait()  # until eight are under way
        return fetched(self, address, *arguments)

    monkeypatch.setattr(Downloads, "fetched", slowly)
    dataset = open_dataset("memory://far/photos")
    assert (len(dataset.records("all")), dataset.bad_files) == (20, ())
    memory.rm("/far", recursive=True)


def test_what_cannot_be_reached_is_said_in_one_line(served, tmp_path):
    _, address = served
    (served[0] / "empty").mkdir()
    for source, message in (
        (f"{address}/nothing.csv", "nothing.csv is not there; check the address"),
        (f"{address}/empty", "empty holds no images in class folders"),
        ("http://127.0.0.1:9/photos", "http://127.0.0.1:9/photos cannot be reached"),
        ("nosuch://bucket/photos", "nosuch://bucket/photos cannot be reached: .*nosuch"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            open_dataset(source)
        assert "\n" not in str(caught.value)


class Buckets:
    """A stand-in for S3: its folder of buckets, and what was asked for (method, key, credentials)."""

    def __init__(self, folder):
        self.folder, self.asked = folder, []

    def got(self, ending):
        return [key for method, key, _ in self.asked if method == "GET" and key.endswith(ending)]


@pytest.fixture
def s3(tmp_path, monkeypatch):
    """s3fs itself, talking to a local server."""
    from s3fs import S3FileSystem

    buckets = Buckets(tmp_path / "s3")
    (buckets.folder / "bucket").mkdir(parents=True)
    server = s3_server(buckets.folder, buckets.asked)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    for name, value in {
        "ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "ACCESS_KEY_ID": "key",
        "SECRET_ACCESS_KEY": "secret",
        "DEFAULT_REGION": "us-east-1",
        "EC2_METADATA_DISABLED": "true",
        "CONFIG_FILE": "/dev/null",
        "SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    S3FileSystem.clear_instance_cache()
    yield buckets
    S3FileSystem.clear_instance_cache()
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_folder_in_a_bucket(s3):
    draw_classes(s3.folder / "bucket" / "my photos" / "train", {"cat": 8, "black dog": 8})
    draw_classes(s3.folder / "bucket" / "my photos" / "test", {"cat": 3, "black dog": 3})
    dataset = open_dataset("s3://bucket/my photos/")
    here = open_dataset(s3.folder / "bucket" / "my photos")
    assert dataset.classes == ("black dog", "cat")
    assert [record.key for record in dataset.records("all")] == [record.key for record in here.records("all")]
    assert dataset.fingerprint() == here.fingerprint()
    for record, ours in zip(dataset.records("all"), here.records("all"), strict=True):
        np.testing.assert_array_equal(dataset.read(record), here.read(ours))
    assert len(s3.got(".png")) == len(set(s3.got(".png"))) == 22  # checked and read, but fetched once
    assert all("Credential=key" in credentials for _, _, credentials in s3.asked)


def write_each_container(folder):
    for name in ("mnist", "mnist-gz", "cifar-100", "cifar-10"):
        (folder / name).mkdir(parents=True)
    write_mnist(folder / "mnist")
    write_mnist(folder / "mnist-gz", ending=".gz")
    write_cifar_100(folder / "cifar-100")
    write_cifar_python(folder / "cifar-10")
    write_tar(folder / "shards" / "train-0.tar", samples(0, 30))
    (folder / "shards" / "classnames.txt").write_text("cat\ndog\n")
    (folder / "shards" / "readme.md").write_text("not fetched")
    write_hub_file(folder / "hub" / "data" / "train-00000-of-00001.parquet", 0, 20)
    return ("mnist", "mnist-gz", "cifar-100", "cifar-10", "shards", "hub")


def assert_every_container_is_the_same(folder, address, names):
    for name in names:
        dataset, here = open_dataset(f"{address}/{name}"), open_dataset(folder / name)
        assert dataset.classes == here.classes
        assert dataset.fingerprint() == here.fingerprint(), name
        for record, ours in list(zip(dataset.records("all"), here.records("all"), strict=True))[::5]:
            np.testing.assert_array_equal(dataset.read(record), here.read(ours))


def test_every_container_in_a_bucket(s3):
    names = write_each_container(s3.folder / "bucket")
    assert_every_container_is_the_same(s3.folder / "bucket", "s3://bucket", names)
    assert s3.got("readme.md") == []


def test_every_container_behind_http(served):
    folder, address = served
    assert_every_container_is_the_same(folder, address, write_each_container(folder))


def test_a_table_that_has_changed_is_fetched_again(s3, served):
    from s3fs import S3FileSystem

    for folder, address in ((s3.folder / "bucket", "s3://bucket"), served):
        draw_classes(folder / "images", {"cat": 20, "dog": 20})
        for day, labels in enumerate((("cat", "dog"), ("dog", "cat"))):
            rows = [{"path": f"images/cat/{i}.png", "label": labels[i % 2]} for i in range(20)]
            pandas.DataFrame(rows).to_csv(folder / "table.csv", index=False)
            os.utime(folder / "table.csv", (86_400 * day, 86_400 * day))  # its size stays
            dataset = open_dataset(f"{address}/table.csv")
            assert {record.label for record in dataset.records("all") if record.key.endswith("4.png")} == {labels[0]}
            S3FileSystem.clear_instance_cache()  # the next process knows nothing of this one's listings


def test_a_bucket_without_credentials_says_what_to_set(s3, monkeypatch):
    draw_classes(s3.folder / "bucket" / "photos", {"cat": 10, "dog": 10})
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(DataError, match=r"Unable to locate credentials; set AWS_ACCESS_KEY_ID .* FSSPEC_S3_ANON=true"):
        open_dataset("s3://bucket/photos")


def test_what_is_missing_in_a_bucket_is_said_in_one_line(s3):
    (s3.folder / "bucket" / "table.csv").write_text("path,label\nimages/a.png,cat\nimages/b.png,dog\n")
    for source, message in (
        ("s3://bucket/nothing", "s3://bucket/nothing is not there; check the address"),
        ("s3://no-such-bucket/photos", "s3://no-such-bucket/photos is not there"),
        ("s3://bucket/nothing.csv", "s3://bucket/nothing.csv is not there"),
        ("s3://bucket/table.csv", "2 of 2 files of table cannot be read.*s3://bucket/images/a.png is not there"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            open_dataset(source)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "package", "extra"),
    [("s3://bucket/photos", "s3fs", "remote"), ("http://a.org/photos", "aiohttp", "data")],
)
def test_a_missing_package_is_named_with_its_extra(monkeypatch, address, package, extra):
    from fsspec.registry import _registry

    scheme = address.split(":")[0]
    implementation = {"s3": "s3fs", "http": "fsspec.implementations.http"}[scheme]
    monkeypatch.delitem(_registry, scheme, raising=False)
    monkeypatch.setitem(sys.modules, implementation, None)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError, match=rf"^{address} needs {package}; run pip install 'convlens\[{extra}\]'$"):
        open_dataset(address)


class Level:
    """Says how bright an image is."""

    classes = ("dark", "light")
    preprocessing = Preprocessing(size=(4, 6), resize=(4, 6), mean=(0.0,), std=(1.0,), channels=1)

    def probabilities(self, x_NCHW):
        light = x_NCHW.mean(axis=(1, 2, 3))
        return np.stack([1 - light, light], axis=1).astype(np.float32)


def test_predictions_behind_addresses_are_those_of_the_same_files_here(s3, served, tmp_path):
    answers = []
    for number, (folder, address) in enumerate([(s3.folder / "bucket", "s3://bucket"), served]):
        folder = folder / "all"
        draw_classes(folder / "photos", {"cat": 13, "dog": 4})
        write_tar(folder / "shard.tar", samples(0, 7))
        write_hub_file(folder / "hub.parquet", 0, 5)
        (folder / "photos/cat/broken.png").write_text("no image")
        for where in (f"{address}/all", str(folder)):
            out = tmp_path / f"{number}{len(answers) % 2}.jsonl"
            summary = predict_to_file(Level(), [where], out, asked={})
            assert (summary.images, summary.errors) == (13 + 4 + 1 + 7 + 5, 1)
            rows = map(json.loads, out.read_text().splitlines())
            answers.append({row["file"].removeprefix(where).lstrip("/"): row.get("classes") for row in rows})
    assert answers[0] == answers[1] == answers[2] == answers[3]
    assert len(answers[0]) == 30
    assert sum(name.startswith("all/photos") for name in s3.got(".png")) == 18  # each is fetched once
    assert not list(cache_folder().rglob("*.png"))  # and not kept
