import os

import pytest

from convlens.files import remember, remembered, replacing, short_stem, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "run.yaml"
    write_text(target, "old")
    with pytest.raises(RuntimeError), replacing(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["run.yaml"]


def test_folders_are_made_and_unicode_survives(tmp_path):
    write_json(tmp_path / "a" / "b.json", {"class": "кошка"})
    assert "кошка" in (tmp_path / "a" / "b.json").read_text(encoding="utf-8")


def test_what_is_remembered_is_added_to_and_a_cache_that_cannot_be_written_stops_nothing(tmp_path):
    remember(tmp_path / "a.json", "one", 1)
    remember(tmp_path / "a.json", "two", {"x": 2})
    assert remembered(tmp_path / "a.json") == {"one": 1, "two": {"x": 2}}
    (tmp_path / "file").write_text("no folder")
    remember(tmp_path / "file" / "b.json", "one", 1)
    assert remembered(tmp_path / "file" / "b.json") == {}


def test_a_long_name_leaves_room_for_more(tmp_path):
    for name in ("x" * 246 + ".png", "\u0436" * 120 + ".png", "y" * 250):
        made = f"{short_stem(name)}-2-gradcam++.npy"
        write_text(tmp_path / made, "x")
    assert short_stem("x" * 246 + "a.png") != short_stem("x" * 246 + "b.png")
