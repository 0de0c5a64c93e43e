"""Answers for many images, in pieces: what is answered, what a restart does, and how much memory that takes."""

import csv
import io
import json
import signal
import subprocess
import sys
import tarfile
import textwrap
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from convlens import predicting
from convlens.cli.main import main
from convlens.data import open_dataset
from convlens.data.packing import pack
from convlens.errors import ConvlensError
from convlens.images import Preprocessing
from convlens.predicting.bulk import pieces, predict_to_file


class Brightness:
    """Says white of a bright image and black of a dark one."""

    classes = ("black", "white")
    preprocessing = Preprocessing(size=(5, 7), resize=(5, 7), mean=(0.0,), std=(1.0,), channels=1)

    def probabilities(self, x_NCHW):
        white = x_NCHW.mean(axis=(1, 2, 3))
        return np.stack([1 - white, white], axis=1).astype(np.float32)


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    monkeypatch.setattr(pieces, "_IMAGES", 4)


def png(value, size=(9, 6)):
    content = io.BytesIO()
    Image.new("L", size, value).save(content, "png")
    return content.getvalue()


def values(count):
    return [int(value) for value in np.linspace(0, 255, count)]


@pytest.fixture
def folder(tmp_path):
    """Eleven images in two folders, one of them broken, and what is not an image."""
    for number, value in enumerate(values(11)):
        path = tmp_path / "photos" / f"{'b/deep' if number % 3 else 'a'}" / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(value))
    (tmp_path / "photos/a/03.png").write_text("no image")
    (tmp_path / "photos/a/notes.txt").write_text("no image either")
    (tmp_path / "photos/a/.hidden.png").write_bytes(png(0))
    return tmp_path / "photos"


def write_tar(path, count):
    with tarfile.open(path, "w") as tar:
        for number, value in enumerate(values(count)):
            for name, content in ((f"{number:04d}.png", png(value)), (f"{number:04d}.cls", b"black")):
                member = tarfile.TarInfo(f"{'x' * 120}/{name}")  # longer than a header holds
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return path


def answered(out, *sources, **how):
    summary = predict_to_file(Brightness(), [str(source) for source in sources], out, asked={}, **how)
    rows = read(out)
    assert summary.images == len(rows)
    assert summary.errors == sum(row["error"] is not None for row in rows)
    assert not out.with_name(f"{out.name}.parts").exists()
    return rows


def read(path):
    from pyarrow import parquet

    if path.suffix == ".parquet":
        return parquet.read_table(path).to_pylist()
    return [{"error": None} | json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_a_folder_is_answered_as_predict_answers_it(folder, tmp_path, batch):
    rows = answered(tmp_path / "answers.parquet", folder, batch=batch)
    expected = {one.file: one for one in predicting.predict_files(Brightness(), [folder])}
    assert len(rows) == len(expected) == 11
    for row in rows:
        one = expected[row["file"]]
        assert row["error"] == one.error
        assert [(guess["label"], guess["probability"]) for guess in row["classes"]] == [
            (guess.label, guess.probability) for guess in one.classes
        ]
        assert row["label"] == (one.classes[0].label if one.classes else None)
    assert [row["file"] for row in rows if row["error"]] == [str(folder / "a/03.png")]


def test_a_tar_is_answered_in_pieces_from_any_member_on(tmp_path):
    path = write_tar(tmp_path / "shard.tar", 11)
    assert [piece.count for piece in pieces.list_pieces([str(path)])] == [4, 4, 3]
    rows = answered(tmp_path / "answers.jsonl", path)
    assert [row["file"] for row in rows] == [f"{path}/{'x' * 120}/{number:04d}.png" for number in range(11)]
    likeliest = [row["classes"][0]["label"] for row in rows]
    assert likeliest == ["black"] * 5 + [likeliest[5]] + ["white"] * 5


@pytest.mark.parametrize("lost", [14_000, 14_336, 14_848])  # within a header, before one, within an image or a label
def test_a_tar_that_was_cut_gives_what_it_holds_and_says_so(tmp_path, lost):
    path = write_tar(tmp_path / "shard.tar", 11)
    path.write_bytes(path.read_bytes()[:-lost])
    rows = answered(tmp_path / "answers.jsonl", path)
    assert 4 <= len(rows) < 11
    assert [row["error"] is None for row in rows] == [True] * (len(rows) - 1) + [False]
    assert "is damaged after" in rows[-1]["error"]


def test_parquet_packed_shards_tables_and_arrays(folder, tmp_path, monkeypatch):
    import pyarrow
    from pyarrow import parquet

    images = [{"bytes": png(value), "path": None} for value in values(7)] + [{"bytes": None, "path": "gone.png"}]
    table = tmp_path / "images.parquet"
    parquet.write_table(pyarrow.table({"image": images}), table, row_group_size=3)  # without labels
    rows = answered(tmp_path / "1.jsonl", table)
    assert [row["file"] for row in rows][:4] == [
        f"{table}/{name}" for name in ("000-00000", "000-00001", "000-00002", "001-00000")
    ]
    assert [row["error"] for row in rows if row["error"]] == [f"{table}/002-00001 holds no bytes"]
    monkeypatch.setattr(pieces, "_IMAGES", 500)
    digits = open_dataset("digits")
    for kind in ("tar", "parquet"):
        shards = pack(digits, tmp_path / kind, kind=kind, shard_bytes=100_000).folder
        rows = answered(tmp_path / f"{kind}.jsonl", shards)
        assert sorted(row["file"] for row in rows) == sorted(record.key for record in digits.records("all"))
        assert not any(row["error"] for row in rows)
    arrays = {row["file"]: row["classes"] for row in answered(tmp_path / "digits.jsonl", "digits")}
    assert arrays == {row["file"]: row["classes"] for row in rows}
    names = tmp_path / "names.csv"
    names.write_text("path\nphotos/a/00.png\nphotos/a/03.png\nphotos/b/deep/none.png\n")
    rows = answered(tmp_path / "2.jsonl", names, folder / "b/deep/01.png")
    assert [row["error"] is None for row in rows] == [True, False, False, True]


KILLED = """
    import os, signal, sys
    sys.path[:0] = {path!r}
    from test_bulk import Brightness, pieces, predict_to_file

    class Dying(Brightness):
        calls = 0
        def probabilities(self, x_NCHW):
            Dying.calls += 1
            if Dying.calls > {calls}:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().probabilities(x_NCHW)

    pieces._IMAGES = 4
    predict_to_file(Dying(), {sources!r}, {out!r}, asked={{}}, batch=2)
"""


@pytest.mark.parametrize(("suffix", "kills"), [(".parquet", (9, 11)), (".csv", (9,))])
def test_killed_and_started_again_it_gives_the_same_bytes(folder, tmp_path, suffix, kills):
    sources = [str(folder), str(write_tar(tmp_path / "shard.tar", 10))]
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    predict_to_file(Brightness(), sources, whole, asked={}, batch=2)
    parts = cut.with_name(f"{cut.name}.parts")
    kept = []
    for calls in kills:  # each run answers some images, and is killed in the middle of a piece
        script = KILLED.format(path=[str(__file__).rpartition("/")[0]], calls=calls, sources=sources, out=str(cut))
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
        assert done.returncode == -signal.SIGKILL
        assert not cut.exists()
        kept.append(len(list(parts.glob("0*.jsonl"))))
    assert sorted({0, *kept, 6}) == [0, *kept, 6]  # more and more of the six pieces
    (folder / "a/later.png").write_bytes(png(0))  # is not in the list that was made at the start
    before = {path.name: path.stat().st_mtime_ns for path in parts.glob("0*.jsonl")}
    seen = []
    predict_to_file(Brightness(), sources, cut, asked={}, batch=2, on_progress=lambda done, total: seen.append(done))
    assert cut.read_bytes() == whole.read_bytes()
    assert len(before) == kept[-1]
    assert seen[0] > 0  # what was there was not answered again


def test_memory_does_not_grow_with_the_number_of_images(tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "_IMAGES", 50)

    class Large(Brightness):
        preprocessing = Preprocessing(size=(90, 120), resize=(90, 120), mean=(0.0,), std=(1.0,), channels=1)

    peaks = []
    for count in (100, 1000):
        sources = [str(write_tar(tmp_path / f"{count}.tar", count))]
        (tmp_path / str(count)).mkdir()
        for number in range(count // 10):
            (tmp_path / str(count) / f"{number}.ppm").write_bytes(b"P5 120 90 255\n" + bytes([number % 256] * 10800))
        sources.append(str(tmp_path / str(count)))
        tracemalloc.start()
        predict_to_file(Large(), sources, tmp_path / f"{count}.jsonl", asked={}, batch=8)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    prepared = 1000 * 90 * 120 * 4
    assert peaks[1] < 1.3 * peaks[0] + 500_000 < prepared / 10


def test_another_question_does_not_go_on_with_the_answers_of_the_first(folder, tmp_path):
    out = tmp_path / "answers.jsonl"

    class Failing(Brightness):
        def probabilities(self, x_NCHW):
            raise ConvlensError("no more")

    with pytest.raises(ConvlensError, match="no more"):
        predict_to_file(Failing(), [str(folder)], out, asked={"network": "a"})
    with pytest.raises(ConvlensError, match=r"another question \(network, top differ\)"):
        predict_to_file(Brightness(), [str(folder)], out, asked={"network": "b"}, top=1)
    predict_to_file(Brightness(), [str(folder)], out, asked={"network": "a"})
    with pytest.raises(ConvlensError, match="is there already"):
        predict_to_file(Brightness(), [str(folder)], out, asked={"network": "a"})


@pytest.mark.parametrize(
    ("source", "out", "message"),
    [
        ("nowhere", "a.jsonl", "there is nothing at nowhere"),
        ("empty", "a.jsonl", "there are no images"),
        ("empty", "a.xlsx", r"ends in .xlsx; use .parquet, .csv, .jsonl"),
        ("empty", "s3://bucket/a.csv", "is an address, and answers are written to a file of this machine"),
    ],
)
def test_wrong_input_leaves_nothing_behind(tmp_path, monkeypatch, source, out, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConvlensError, match=message):
        predict_to_file(Brightness(), [source], out, asked={})
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_the_command_writes_what_csv_prints(run, folder, tmp_path, capsys):
    out = tmp_path / "answers.csv"
    assert main(["predict", str(run.path), str(folder), "--out", str(out), "--top", "2"]) == 1  # one has an error
    assert "11 images, 1 of them with an error" in capsys.readouterr().err
    assert main(["predict", str(run.path), str(folder), "--csv", "--top", "2"]) == 1
    printed = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert sorted(csv.reader(io.StringIO(out.read_text()))) == sorted(printed)
    assert main(["predict", str(run.path), str(folder), "--out", str(out), "--json"]) == 2
