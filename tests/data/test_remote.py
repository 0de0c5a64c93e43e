import http.server
import threading
from functools import partial
from typing import ClassVar

import pandas
import pytest
from drawn import draw_classes
from test_sources import samples, sizes, write_hub_file, write_tar

from convlens.data import DataError, open_dataset
from convlens.files import cache_folder


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
