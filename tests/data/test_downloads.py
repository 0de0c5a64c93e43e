import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import fsspec
import numpy as np
import pytest

from convlens.data import DataError, downloads
from convlens.data.downloads import Downloads
from convlens.data.kept_folders import bytes_in, hold, make_room
from convlens.errors import ConvlensError
from convlens.files import cache_folder


@pytest.fixture(autouse=True)
def memory(monkeypatch):
    """Files of 1,000 bytes behind addresses, and a process that holds no folder yet."""
    monkeypatch.setattr(downloads, "_held", {})
    monkeypatch.setattr(downloads, "_fetched", {})
    system = fsspec.filesystem("memory")
    for number in range(10):
        system.pipe(f"/files/{number}.bin", bytes([number]) * 1000)
    yield system
    for descriptor in downloads._held.values():
        os.close(descriptor)
    system.rm("/files", recursive=True)


def source(number):
    return Downloads(f"memory://files/{number}")


def address(number):
    return f"memory://files/{number}.bin"


def let_go():
    """What the end of a process does."""
    for descriptor in downloads._held.values():
        os.close(descriptor)
    downloads._held.clear()


def sources_kept():
    return sum(1 for folder in (cache_folder() / "downloads").iterdir() if list(folder.rglob("*.bin")))


def test_the_longest_unused_source_makes_room_and_one_in_use_does_not(monkeypatch):
    monkeypatch.setenv("CONVLENS_CACHE_GB", "0.0000025")  # 2,500 bytes
    paths = []
    for number in range(3):
        paths.append(source(number).fetched(address(number)))
        folder = paths[-1].parents[2]
        let_go()
        os.utime(folder, (number, number))
    assert [path.exists() for path in paths] == [True, True, True]  # it fitted when the third began
    source(0).fetched(address(0))  # the oldest, used again and held
    os.utime(paths[0].parents[2], (0, 0))
    source(3).fetched(address(3))
    assert [path.exists() for path in paths] == [True, False, True]
    assert sources_kept() == 3


def test_room_is_made_again_while_much_is_fetched(monkeypatch):
    monkeypatch.setenv("CONVLENS_CACHE_GB", "0.0000025")
    monkeypatch.setattr(downloads, "_LOOK_AGAIN", 1500)
    old = source(0).fetched(address(0))
    let_go()
    large = source(1)
    kept = [large.fetched(address(number)) for number in range(1, 6)]
    assert not old.exists()
    assert all(path.exists() for path in kept)  # in use: more than the bound, and never removed


def test_another_process_that_uses_a_source_keeps_it(monkeypatch):
    monkeypatch.setenv("CONVLENS_CACHE_GB", "0.000001")
    path = source(0).fetched(address(0))
    let_go()
    code = textwrap.dedent("""
        import sys
        from pathlib import Path
        from convlens.data.kept_folders import hold
        hold(Path(sys.argv[1]))
        print("held", flush=True)
        sys.stdin.read()
    """)
    command = [sys.executable, "-c", code, str(path.parents[2])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
        assert user.stdout.readline() == b"held\n"
        source(1).fetched(address(1))
        let_go()
        source(2).fetched(address(2))
        assert path.exists()
        let_go()
        user.kill()
    source(3).fetched(address(3))
    assert not path.exists()


def test_a_folder_that_is_wanted_while_it_is_removed_is_made_again(tmp_path):
    wanted = tmp_path / "root" / "wanted"

    def use(_):
        descriptor = hold(wanted)
        try:
            (wanted / "content.bin").write_bytes(bytes(100))
            return (wanted / "content.bin").exists()  # nobody may remove it now
        finally:
            os.close(descriptor)

    def remove(_):
        make_room(tmp_path / "root", keep=tmp_path, allowed=0, pattern="*.bin")
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda number: (use if number % 2 else remove)(number), range(200)))
    remove(0)
    assert bytes_in(tmp_path / "root", "*") == 0


def test_two_that_fetch_one_file_at_once_both_have_it_whole():
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: source(0).fetched(address(3)), range(8)))
    assert len(set(paths)) == 1
    np.testing.assert_array_equal(np.frombuffer(paths[0].read_bytes(), np.uint8), 3)


def test_what_is_wrong_with_the_cache_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVLENS_CACHE_GB", "much")
    with pytest.raises(ConvlensError, match="CONVLENS_CACHE_GB is 'much'; give a number of gigabytes, such as 20"):
        source(0).fetched(address(0))
    (tmp_path / "file").touch()
    monkeypatch.setenv("CONVLENS_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot be written: Not a directory; set CONVLENS_CACHE to a folder that can"):
        source(1).fetched(address(1))


def test_a_full_disk_leaves_nothing_and_is_not_taken_for_the_address(memory, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(memory), "get_file", full)
    with pytest.raises(DataError, match=r"0\.bin cannot be kept: No space left on device; set CONVLENS_CACHE"):
        source(0).fetched(address(0))
    assert sources_kept() == 0
