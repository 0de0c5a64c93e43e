"""A training on a cluster, one of whose nodes is killed in the middle."""

import pytest
from PIL import Image

from convlens import open_run
from convlens.cli.main import main
from convlens.cluster.trainings import train_on_ray
from convlens.errors import ConvlensError

SMALL = {"data": "digits", "network": "lenet5", "recipe": "scratch", "tune": False, "batch": 96, "seed": 3}


def test_a_node_killed_in_the_middle_costs_no_epoch(cluster, another_node, tmp_path):
    notes = []

    def kill_after_the_first_epoch(note):
        notes.append(note)
        if note.startswith("epoch 1:"):
            cluster.remove_node(another_node, allow_graceful=False)

    outcome = train_on_ray(
        SMALL | {"epochs": 12, "runs": str(tmp_path / "shared"), "name": "job", "checkpoint_steps": 3},
        address=cluster.address,
        processes=2,
        min_processes=1,
        say=kill_after_the_first_epoch,
    )
    assert another_node not in cluster.list_all_nodes()
    rows = outcome.folder.metrics()
    assert [row["epoch"] for row in rows] == list(range(1, 13))
    assert [note.split(":")[0] for note in notes[1:]] == [f"epoch {number}" for number in range(1, 13)]
    assert open_run(tmp_path / "shared" / "job").folder.description.result["status"] == "finished"
    assert rows[-1]["val_top1"] > 0.8
    assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == ["job"]


def test_wrong_input_is_said_once(cluster, tmp_path, capsys):
    with pytest.raises(ConvlensError, match="the cluster has 1 processors and 5 processes need one each"):
        train_on_ray(SMALL | {"runs": str(tmp_path)}, address=cluster.address, processes=5, say=print)
    assert list(tmp_path.iterdir()) == []
    assert main(["train", "digits", "--processes", "2"]) == 2
    assert "add --ray" in capsys.readouterr().err
    with pytest.raises(ConvlensError, match="processes is 2 and min_processes is 3"):
        train_on_ray(SMALL, address=cluster.address, processes=2, min_processes=3, say=print)


def test_what_stops_one_process_stops_all_and_is_said(cluster, another_node, digits, tmp_path):
    folder = tmp_path / "photos"
    for number, image in enumerate(digits):
        (folder / f"{number % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(folder / f"{number % 2}" / f"{number}.png")

    def spoil(note):
        if note.startswith("epoch 1:"):
            for file in sorted(folder.rglob("*.png"))[::7]:
                file.write_bytes(b"no image")

    given = SMALL | {"data": str(folder), "batch": 4, "epochs": 300, "runs": str(tmp_path / "runs"), "name": "job"}
    with pytest.raises(ConvlensError, match=r"rank \d on .*png"):
        train_on_ray(given, address=cluster.address, processes=2, say=spoil)
