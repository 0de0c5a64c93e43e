"""What users get wrong: one line that says what, its value and what to do; exit code 2; no traces."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convlens import files
from convlens.cli.main import main


def draw_folder(root, classes=("circle", "square"), images=12):
    generator = np.random.default_rng(0)
    for label in classes:
        (root / label).mkdir(parents=True)
        for number in range(images):
            Image.fromarray(generator.integers(0, 255, (24, 24, 3), np.uint8)).save(root / label / f"{number}.jpg")
    return root


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def complaint(words, capsys):
    """What the command complains about; anything else than one line and exit code 2 fails."""
    assert main([str(word) for word in words]) == 2
    shown = capsys.readouterr()
    last = shown.err.splitlines()[-1]
    assert last.startswith("convlens: ")
    assert "Traceback" not in shown.err
    assert shown.err.count("convlens: ") == 1
    return last


def train(data, *more, batch=4):
    words = ["train", data, "--network", "lenet5", "--epochs", "1", "--batch", str(batch), "--precision", "float32"]
    return [*words, *map(str, more)]


def test_a_missing_folder(here, capsys):
    assert "none" in complaint(train("none"), capsys)
    assert not (here / "runs").exists()


def test_an_empty_folder(here, capsys):
    (here / "photos").mkdir()
    assert "photos" in complaint(train("photos"), capsys)
    assert not (here / "runs").exists()


def test_a_single_class(here, capsys):
    draw_folder(here / "photos", classes=("circle",))
    assert "circle" in complaint(train("photos"), capsys)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"this is not an image\n", "text file"),
        (b"", "empty (0 bytes)"),
        ("half", "truncated"),
        ("bomb", "pixels"),
    ],
)
def test_files_that_cannot_be_read_are_named_and_left_out_up_to_a_share(here, capsys, content, words):
    draw_folder(here / "photos")
    bad = here / "photos" / "circle" / "bad.jpg"
    if content == "half":
        whole = (here / "photos" / "circle" / "0.jpg").read_bytes()
        bad.write_bytes(whole[: len(whole) // 2])
    elif content == "bomb":
        Image.new("1", (20_000, 20_000)).save(bad, "PNG")
    else:
        bad.write_bytes(content)
    said = complaint(train("photos", "--max-bad", "0.0"), capsys)
    assert "bad.jpg" in said
    assert words in said.lower()
    assert main(train("photos", "--quiet")) == 0
    assert "bad.jpg" in (here / "runs" / "train" / "photos" / "bad_files.csv").read_text()


def test_an_unknown_network_and_a_misspelt_flag(here, capsys):
    assert "did you mean lenet5" in complaint(["train", "digits", "--network", "lenet"], capsys)
    assert "--epochs" in complaint(["train", "digits", "--epoch", "3"], capsys)


def test_a_size_that_is_too_small_names_the_smallest(here, capsys):
    assert "at least 16×16" in complaint(train("digits", "--size", "8"), capsys)


def test_a_batch_larger_than_the_data(here, capsys):
    assert "use at most 1257" in complaint(train("digits", batch=5000), capsys)
    assert not (here / "runs").exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    assert main(train("digits", "--runs", folder, "--quiet", batch=256)) == 0
    return folder / "digits"


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_run_whose_weights_are_missing_or_truncated(finished, here, capsys, command):
    words = [command, "run", *(["digits"] if command == "evaluate" else ["a.png"])]
    shutil.copytree(finished, "run")
    weights = Path("run/weights/best.safetensors")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    said = complaint(words, capsys)
    assert "best.safetensors" in said
    assert "truncated" in said
    assert "1,000 bytes" in said
    weights.unlink()
    assert "best.safetensors" in complaint(words, capsys)
    shutil.rmtree("run")
    Path("run").mkdir()
    assert "run" in complaint(words, capsys)


def test_resuming_with_other_data_or_another_network(finished, here, capsys):
    draw_folder(here / "photos")
    assert "is not the data" in complaint(["train", "photos", "--resume", finished], capsys)
    assert "network=lenet5" in complaint(["train", "--resume", finished, "--network", "mlp"], capsys)
    assert "no run folder" in complaint(["train", "--resume", "none"], capsys)


def test_a_disk_that_is_nearly_full_is_said_before_the_training(here, capsys, monkeypatch):
    usage = shutil.disk_usage(here)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    said = complaint(train("digits"), capsys)
    assert "has 1 MB free and the run needs about" in said
    assert not (here / "runs").exists()


@pytest.mark.parametrize("whole_writes", range(7))
def test_a_disk_that_fills_during_the_training_leaves_nothing_half_written(here, capsys, monkeypatch, whole_writes):
    written = []
    flush = files._flush_to_disk

    def fill_up(path):
        if len(written) == whole_writes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        written.append(path)
        flush(path)

    monkeypatch.setattr(files, "_flush_to_disk", fill_up)
    said = complaint(train("digits", batch=256), capsys)
    assert "No space left on device" in said
    assert not list(here.rglob("*.part"))
    if (here / "runs/train/digits").exists():  # then there is a checkpoint to go on from
        monkeypatch.undo()
        monkeypatch.chdir(here)
        assert main(["train", "--resume", "runs/train/digits", "--quiet"]) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")
def test_a_disk_that_is_really_full(here, capsys, monkeypatch):
    disk = here / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("this container may not mount")
    try:
        monkeypatch.setattr("convlens.training.job._check_space", lambda *_: None)
        words = train("digits", "--runs", disk, "--checkpoint-steps", 1, batch=256)
        assert "No space left on device" in complaint(words, capsys)
        assert not list(disk.rglob("*.part"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
