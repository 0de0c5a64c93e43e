import dataclasses
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import draw
from PIL import Image

from convlens.data import Augmentation, DataError, Loader, open_dataset
from convlens.data.image_files import FileSource
from convlens.images import ImageError, Preprocessing

GRAY = Preprocessing(size=(16, 16), resize=(16, 16), mean=(0.3,), std=(0.2,), channels=1)


def training(digits, *, workers=0, batch_size=32, **how):
    augmentation = Augmentation(**{"shift": 0.2, "flip": True, **how})
    return Loader(digits, "train", GRAY, batch_size=batch_size, augmentation=augmentation, seed=5, workers=workers)


@pytest.mark.parametrize("how", [{}, {"crop_scale": (0.3, 1.0)}])
def test_an_epoch_entered_late_and_with_other_workers_goes_on_the_same(how):
    digits = open_dataset("digits")
    whole = list(training(digits, **how).epoch(2))
    rest = list(training(digits, workers=2, **how).epoch(2, start_step=30))
    assert [batch.step for batch in rest] == list(range(30, 39))
    for ours, theirs in zip(whole[30:], rest, strict=True):
        assert torch.equal(ours.images, theirs.images)
        assert torch.equal(ours.labels, theirs.labels)


def test_a_sample_is_augmented_the_same_in_any_batch_size():
    digits = open_dataset("digits")
    small = {int(i): x for b in training(digits).epoch(1) for i, x in zip(b.indices, b.images, strict=True)}
    large = {
        int(i): x for b in training(digits, batch_size=100).epoch(1) for i, x in zip(b.indices, b.images, strict=True)
    }
    assert all(torch.equal(small[i], large[i]) for i in small.keys() & large.keys())


def test_evaluation_is_the_preprocessing_to_the_bit_and_complete():
    digits = open_dataset("digits")
    loader = Loader(digits, "val", GRAY, batch_size=50)
    images = torch.cat([batch.images for batch in loader.epoch(0)])
    expected = np.stack([GRAY.apply(digits.read(record)) for record in digits.records("val")])
    np.testing.assert_array_equal(images.numpy(), expected)
    assert loader.steps == 4


def test_epochs_differ():
    loader = training(open_dataset("digits"))
    assert not torch.equal(next(loader.epoch(0)).indices, next(loader.epoch(1)).indices)


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(DataError, match="batch size 5000 is larger than the 1257 images of train; use at most 1257"):
        training(open_dataset("digits"), batch_size=5000)


RGB = Preprocessing(size=(24, 24), resize=28, crop="center", mean=(0.4,) * 3, std=(0.2,) * 3)


@pytest.fixture
def photos(tmp_path):
    for number, name in enumerate(("cat", "dog")):
        for i in range(30):
            draw(tmp_path / "photos" / "train" / name / f"{i}.jpg", seed=100 * number + i, size=(60 + i, 90 - i))
    return tmp_path / "photos"


class Counting(FileSource):
    """Counts what is read."""

    def __init__(self):
        self.keys = []

    def read(self, record, **how):
        self.keys.append(record.key)
        return super().read(record, **how)


def counted(photos):
    dataset = dataclasses.replace(open_dataset(photos, check_files=False), source=Counting())
    return dataset, dataset.source.keys


@pytest.mark.parametrize("cache", ["auto", "memory", "disk", "none"])
def test_wherever_images_are_kept_batches_are_the_same(photos, cache):
    dataset, keys = counted(photos)
    crops = Augmentation(crop_scale=(0.2, 1.0), flip=True)
    loader = Loader(dataset, "train", RGB, batch_size=10, augmentation=crops, cache=cache, workers=2)
    batches = [batch for epoch in range(2) for batch in loader.epoch(epoch)]
    plain = Loader(dataset, "train", RGB, batch_size=10, augmentation=crops, cache="none", workers=0)
    for ours, theirs in zip(batches, [b for epoch in range(2) for b in plain.epoch(epoch)], strict=True):
        assert torch.equal(ours.images, theirs.images)
    read_by_ours = len(keys) - len(batches) * 10
    assert read_by_ours == (len(batches) * 10 if cache == "none" else len({int(i) for b in batches for i in b.indices}))


def test_the_next_run_decodes_nothing_and_a_changed_file_again(photos):
    dataset, keys = counted(photos)
    first = Loader(dataset, "train", RGB, batch_size=10)
    first.fill()
    assert len(keys) == len(first.records)
    again = Loader(dataset, "train", RGB, batch_size=10)
    list(again.epoch(0))
    assert len(keys) == len(first.records)
    draw(Path(first.records[3].path), seed=999, size=(70, 70))
    changed, keys = counted(photos)
    images = torch.cat([batch.images for batch in Loader(changed, "train", RGB, batch_size=10).epoch(0)])
    assert keys == [first.records[3].key]
    expected = np.stack([RGB.open(record.path) for record in changed.records("train")])
    np.testing.assert_array_equal(images.numpy(), expected)


def test_another_size_does_not_get_the_images_of_this_one(photos):
    dataset, _ = counted(photos)
    small = dataclasses.replace(RGB, size=(12, 12), resize=14)
    for preprocessing in (RGB, small, RGB):
        batch = next(Loader(dataset, "train", preprocessing, batch_size=4).epoch(0))
        assert batch.images.shape[2:] == preprocessing.size


def test_a_folder_that_cannot_be_written_to_keeps_images_in_memory(photos, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CONVLENS_CACHE", str(tmp_path / "file"))
    dataset, keys = counted(photos)
    loader = Loader(dataset, "train", RGB, batch_size=10)
    for epoch in range(2):
        assert len(list(loader.epoch(epoch))) == loader.steps
    assert len(keys) == len(loader.records)


def test_a_file_that_vanishes_during_training_is_named(photos):
    dataset, _ = counted(photos)
    loader = Loader(dataset, "train", RGB, batch_size=10, cache="none", workers=2)
    Path(loader.records[20].path).unlink()
    with pytest.raises(ImageError, match=rf"{loader.records[20].key} cannot be opened: No such file"):
        list(loader.epoch(0))


class Hanging(FileSource):
    """Hangs on one file, as a dead network disk does."""

    def __init__(self, key):
        self.key, self.released = key, threading.Event()

    def read(self, record, **how):
        if record.key == self.key:
            self.released.wait(60)
        return super().read(record, **how)


def test_a_stall_names_the_file_and_the_worker_and_ends(photos, caplog):
    dataset = open_dataset(photos, check_files=False)
    key = dataset.records("train")[0].key
    dataset = dataclasses.replace(dataset, source=Hanging(key))
    loader = Loader(dataset, "train", RGB, batch_size=10, cache="none", workers=1, stall_seconds=0.1)
    with pytest.raises(
        DataError, match=rf"loading hangs: convlens-load-\d has been reading {key} for \d+ s; check the disk"
    ):
        list(loader.epoch(0))
    assert any("loading stalls: convlens-load-" in r.message and key in r.message for r in caplog.records)
    dataset.source.released.set()


def test_a_stall_that_ends_by_itself_costs_nothing_but_time(photos):
    dataset = open_dataset(photos, check_files=False)
    dataset = dataclasses.replace(dataset, source=Hanging(dataset.records("train")[0].key))
    loader = Loader(dataset, "train", RGB, batch_size=10, cache="none", workers=2, stall_seconds=0.5)
    threading.Timer(0.7, dataset.source.released.set).start()
    assert len(list(loader.epoch(0))) == loader.steps


def test_no_thread_is_left_when_an_epoch_is_left_early(photos):
    dataset = open_dataset(photos, check_files=False)
    loader = Loader(dataset, "train", RGB, batch_size=10, cache="none", workers=3)
    epoch = loader.epoch(0)
    next(epoch)
    assert any(thread.name.startswith("convlens-load") for thread in threading.enumerate())
    epoch.close()
    assert not any(thread.name.startswith("convlens-load") and thread.is_alive() for thread in threading.enumerate())


def test_ctrl_c_during_a_hanging_read_ends_the_process(photos):
    code = textwrap.dedent(f"""
        import dataclasses, faulthandler, os, signal, sys, time
        from convlens.data import Loader, open_dataset
        from convlens.data.image_files import FileSource
        from convlens.images import Preprocessing

        faulthandler.register(signal.SIGUSR1)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with none

        class Hanging(FileSource):
            def read(self, record, **how):
                os.write(1, b"reading\\n")
                time.sleep(600)

        rgb = Preprocessing(size=(24, 24), resize=(24, 24), mean=(0.4,) * 3, std=(0.2,) * 3)
        dataset = dataclasses.replace(open_dataset({str(photos)!r}, check_files=False), source=Hanging())
        try:
            list(Loader(dataset, "train", rgb, batch_size=10, cache="none", workers=2).epoch(0))
        except KeyboardInterrupt:
            sys.exit(130)
    """)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        try:
            assert process.stdout.readline() == b"reading\n"
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=50) == 130  # before the watchdog of 60 seconds looks up
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGUSR1)  # every thread says where it is
            time.sleep(5)
            process.kill()
            pytest.fail(process.stderr.read().decode())
        finally:
            process.kill()


@pytest.mark.parametrize("how", ["loading", "checking"])
def test_ctrl_c_that_reaches_another_thread_ends_the_process_too(photos, how):
    """The main thread is asleep then, and nothing wakes it: as when the signal comes just before it falls asleep."""
    code = textwrap.dedent(f"""
        import dataclasses, signal, sys, threading, time
        from convlens.data import Loader, open_dataset
        from convlens.data.image_files import FileSource
        from convlens.data.unreadable_images import find_bad
        from convlens.images import Preprocessing

        signal.signal(signal.SIGINT, signal.default_int_handler)

        class Hanging(FileSource):
            def read(self, record, **how):
                time.sleep(1)  # by now the main thread waits
                signal.pthread_kill(threading.get_ident(), signal.SIGINT)
                time.sleep(600)

        dataset = dataclasses.replace(open_dataset({str(photos)!r}, check_files=False), source=Hanging())
        rgb = Preprocessing(size=(24, 24), resize=(24, 24), mean=(0.4,) * 3, std=(0.2,) * 3)
        try:
            if {how == "loading"}:
                list(Loader(dataset, "train", rgb, batch_size=10, cache="none", workers=1).epoch(0))
            else:
                find_bad(dataset.source, dataset.records("train"))
        except KeyboardInterrupt:
            sys.exit(130)
    """)
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        try:
            assert process.wait(timeout=50) == 130
        finally:
            process.kill()


@pytest.mark.parametrize(
    "other",
    [{"interpolation": "bicubic"}, {"antialias": False}, {"resize": (12, 12), "crop": "center"}, {"resize": 10}],
)
def test_kept_images_are_those_of_their_own_preprocessing(tmp_path, other):
    generator = np.random.default_rng(0)
    for number in range(8):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (21, 30, 3), np.uint8)).save(path)
    photographs = open_dataset(str(tmp_path / "photos"))
    first = Preprocessing(size=(8, 8), resize=(8, 8), mean=(0.0,) * 3, std=(1.0,) * 3)
    second = dataclasses.replace(first, **({"crop": "center"} | other if other.get("resize") == 10 else other))

    def images(preprocessing, cache):
        loader = Loader(photographs, "train", preprocessing, batch_size=8, cache=cache)
        return next(loader.epoch(0)).images.clone()

    kept = images(first, "disk"), images(second, "disk")
    assert torch.equal(kept[0], images(first, "none"))
    assert torch.equal(kept[1], images(second, "none"))
    assert not torch.equal(*kept)
