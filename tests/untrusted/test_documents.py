import io
import os
import struct
import warnings
import zipfile
import zlib

import pytest
import torch

from convlens.plain_yaml import read_yaml
from convlens.untrusted.documents import read_document, to_yaml
from convlens.untrusted.pickles import load_pickle, write_sealed
from convlens.untrusted.sealing import BLANK, check_seal, seal
from convlens.untrusted.untrusted_bytes import UntrustedFileError, read_whole


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [1]\nb: *a\n", "alias"),
        ("a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "alias"),
        ("[" * 5000, "too deep"),
        ("- " * 5000, "too deep"),
        ("a: 1\na: 2\n", "'a' stands twice"),
        ("!!python/object/apply:os.system ['true']\n", "constructor"),
        ("date: 2026-02-30\n", "day"),
        ("a: [1", "expected"),
        ("\x00", "special characters"),
    ],
)
def test_yaml_that_nobody_writes_is_one_line(tmp_path, text, message):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(UntrustedFileError, match=message) as caught:
        read_document(path)
    assert "\n" not in str(caught.value)
    assert "run.yaml" in str(caught.value)


def test_what_is_used_twice_is_written_twice_and_read_again():
    shared = [1, 2]
    content = {"b": shared, "a": {"c": shared}, "é": None}
    assert read_yaml(to_yaml(content)) == content
    assert "é" in to_yaml(content)
    assert list(read_yaml(to_yaml(content))) == ["b", "a", "é"]


def test_a_document_larger_than_any(tmp_path):
    path = tmp_path / "run.yaml"
    with path.open("wb") as file:
        file.truncate(20_000_000)
    with pytest.raises(UntrustedFileError, match="20,000,000 bytes, more than 10,000,000"):
        read_document(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(UntrustedFileError, match="not a regular file"):
            read_whole(path)


def test_a_seal_holds_for_the_whole_file():
    content = seal(f"before seal={BLANK} after".encode())
    check_seal(content, "file")
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        with pytest.raises(UntrustedFileError, match="file is damaged"):
            check_seal(bytes(changed), "file")


def test_a_checkpoint_that_asks_for_code(tmp_path):
    content = write_sealed({"a": torch.ones(2), "b": print})
    with pytest.raises(UntrustedFileError, match=r"could execute code"):
        load_pickle(content, "net.pt")


def test_a_checkpoint_that_is_packed_is_not_unpacked():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(10_000_000))
    with pytest.raises(UntrustedFileError, match="compressed"):
        load_pickle(buffer.getvalue(), "net.pt")


def _halves(archive):
    """An archive's members, its central directory and the record that ends it."""
    end = archive.rfind(b"PK\5\6")
    size, begin = struct.unpack_from("<II", archive, end + 12)
    return archive[:begin], archive[begin : begin + size], archive[end:]


def _directory(listed, *, shift):
    """A central directory whose members are that many bytes further on."""
    shifted, place = bytearray(listed), 0
    while place < len(shifted):
        (begin,) = struct.unpack_from("<I", shifted, place + 42)
        struct.pack_into("<I", shifted, place + 42, begin + shift)
        place += 46 + sum(struct.unpack_from("<HHH", shifted, place + 28))
    return bytes(shifted)


def _archive(value, compression=zipfile.ZIP_STORED):
    saved, packed = io.BytesIO(), io.BytesIO()
    torch.save({"w": value}, saved)
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(packed, "w", compression) as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name))
    return packed.getvalue()


def test_what_another_reader_finds_in_an_archive_is_not_opened():
    # Python looks for the list of members before the end record, PyTorch where that record says
    members, listed, end = _halves(_archive(torch.ones(4)))
    others, other_list, _ = _halves(_archive(torch.zeros(2_000_000), zipfile.ZIP_DEFLATED))
    record = bytearray(end)
    struct.pack_into("<I", record, 16, len(others))
    shift = len(others) - len(members)
    two = others + other_list + members + _directory(listed, shift=shift) + bytes(record)
    assert len(torch.load(io.BytesIO(two), weights_only=True)["w"]) == 2_000_000
    assert len(load_pickle(two, "net.pt")["w"]) == 4


def test_members_that_hold_one_another():
    members, listed = b"", b""
    for number in range(50):  # each holds the heads and the contents of all that come after it
        name = f"archive/{number:02}".encode()
        size = len(members)
        sizes = struct.pack("<HHHHHIIIHH", 10, 0, 0, 0, 0, zlib.crc32(members), size, size, len(name), 0)
        members = b"PK\3\4" + sizes + name + members
        begin = len(members)  # counted from the end for now
        listed += b"PK\1\2\x0a\0" + sizes + struct.pack("<HHHII", 0, 0, 0, 0, begin) + name
    listed = b"".join(
        entry[:42] + struct.pack("<I", len(members) - struct.unpack_from("<I", entry, 42)[0]) + entry[46:]
        for entry in (listed[place : place + 56] for place in range(0, len(listed), 56))
    )
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 50, 50, len(listed), len(members), 0)
    with pytest.raises(UntrustedFileError, match="overlap"):
        load_pickle(members + listed + end, "net.pt")


def test_a_member_that_is_there_twice():
    buffer = io.BytesIO(_archive(torch.ones(4)))
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("archive/data/0", bytes(16))
    with pytest.raises(UntrustedFileError, match="'archive/data/0' twice"):
        load_pickle(buffer.getvalue(), "net.pt")
