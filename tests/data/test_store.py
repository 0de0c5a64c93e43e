import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from drawn import draw

from convlens.data.dataset import Record
from convlens.data.store import Store, entry_key
from convlens.data.store_folders import LockedStore
from convlens.files import cache_folder


def image(seed, size=(5, 7, 3)):
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8)


def key(number):
    return number.to_bytes(16, "big")


def test_what_is_put_is_found_again_by_the_same_and_by_the_next_process(tmp_path):
    with Store(tmp_path, max_bytes=10_000) as store:
        for i in range(20):
            assert store.put(key(i), image(i, (i + 1, 3, 1)))
        np.testing.assert_array_equal(store.get(key(4)), image(4, (5, 3, 1)))
        assert store.get(key(99)) is None
    with Store(tmp_path, max_bytes=10_000) as again:
        assert len(again) == 20
        for i in range(20):
            np.testing.assert_array_equal(again.get(key(i)), image(i, (i + 1, 3, 1)))
        again.get(key(0))[:] = 0  # what a caller does to its array does not reach the file
    assert Store(tmp_path, max_bytes=0).get(key(0)).any()


def test_it_stops_at_its_bound(tmp_path):
    with Store(tmp_path, max_bytes=300) as store:
        assert [store.put(key(i), image(i)) for i in range(4)] == [True, True, False, False]
        assert "has reached its" in store.stopped
    with Store(tmp_path, max_bytes=300) as again:  # what others wrote counts
        assert not again.put(key(9), image(9))
        assert len(again) == 2


def test_a_damaged_image_is_passed_over_and_can_be_put_again(tmp_path):
    with Store(tmp_path, max_bytes=10_000) as store:
        store.put(key(1), image(1))
        store.put(key(2), image(2))
    pixels = next(tmp_path.glob("*.pixels"))
    content = bytearray(pixels.read_bytes())
    content[3] ^= 1
    pixels.write_bytes(content)
    with Store(tmp_path, max_bytes=10_000) as store:
        assert store.get(key(1)) is None
        np.testing.assert_array_equal(store.get(key(2)), image(2))
        assert store.put(key(1), image(1))
        np.testing.assert_array_equal(store.get(key(1)), image(1))


@pytest.mark.parametrize("cut", [1, 39, 41])
def test_half_a_row_or_missing_pixels_are_passed_over(tmp_path, cut):
    with Store(tmp_path, max_bytes=10_000) as store:
        for i in range(3):
            store.put(key(i), image(i))
    index, pixels = next(tmp_path.glob("*.index")), next(tmp_path.glob("*.pixels"))
    os.truncate(index, index.stat().st_size - cut)
    os.truncate(pixels, 110)
    store = Store(tmp_path, max_bytes=10_000)
    np.testing.assert_array_equal(store.get(key(0)), image(0))
    assert store.get(key(1)) is None
    assert store.get(key(2)) is None


def test_a_full_disk_stops_adding_and_not_the_caller(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with Store(tmp_path, max_bytes=10_000) as store:
        store.put(key(1), image(1))
        monkeypatch.setattr(os, "write", full)
        assert not store.put(key(2), image(2))
        monkeypatch.undo()
        assert "No space left on device" in store.stopped
        assert not store.put(key(3), image(3))
        np.testing.assert_array_equal(store.get(key(1)), image(1))


def fill(folder, first, count):
    with Store(folder, max_bytes=10_000_000) as store:
        for i in range(first, first + count):
            store.put(key(i), image(i))


def test_several_processes_fill_one_store(tmp_path):
    context = multiprocessing.get_context("spawn")
    pool = [context.Process(target=fill, args=(tmp_path, first, 60)) for first in (0, 40, 80)]
    for process in pool:
        process.start()
    with Store(tmp_path, max_bytes=10_000_000) as reader:
        for process in pool:
            process.join(60)
        reader.refresh()
        assert len(reader) == 140
        for i in range(140):
            np.testing.assert_array_equal(reader.get(key(i)), image(i))


def test_a_killed_writer_leaves_a_store_that_can_be_read(tmp_path):
    code = textwrap.dedent(f"""
        import itertools, numpy as np
        from pathlib import Path
        from convlens.data.store import Store
        store = Store(Path({str(tmp_path)!r}), max_bytes=10**9)
        for i in itertools.count():
            store.put(i.to_bytes(16, "big"), np.full((40, 40, 3), i % 256, np.uint8))
    """)
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        waited = time.monotonic() + 60
        while not (found := list(tmp_path.glob("*.index"))) or found[0].stat().st_size < 2200:
            assert time.monotonic() < waited
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    store = Store(tmp_path, max_bytes=10**9)
    assert len(store) >= 50
    for i in range(len(store)):
        assert (store.get(key(i)) == i % 256).all()


def test_a_changed_file_has_another_key(tmp_path):
    def of_file():
        path = tmp_path / "a.png"
        return entry_key(Record(key="a.png", label="", path=str(path), size_bytes=path.stat().st_size))

    draw(tmp_path / "a.png", seed=1)
    before = of_file()
    assert of_file() == before
    os.utime(tmp_path / "a.png", (1, 1))
    assert of_file() != before


def test_the_least_recently_used_store_makes_room_and_one_in_use_does_not():
    for number in range(3):
        with LockedStore({"data": number}, max_bytes=1000) as store:
            store.put(key(1), image(1))
        os.utime(store.folder, (number, number))
    folders = [cache_folder() / "images" / path.name for path in sorted((cache_folder() / "images").iterdir())]
    assert len(folders) == 3
    with LockedStore({"data": 0}, max_bytes=1000) as held:  # the oldest until now
        os.utime(held.folder, (0, 0))
        with LockedStore({"data": 3}, max_bytes=220) as new:
            assert held.folder.exists()
            assert held.get(key(1)) is not None
            left = {path.name for path in new.folder.parent.iterdir()}
            assert left == {held.folder.name, new.folder.name, LockedStore({"data": 2}, max_bytes=10**6).folder.name}
