import shutil
from dataclasses import replace

import pytest
import torch
import yaml

from convlens import networks, runs
from convlens.errors import ConvlensError
from convlens.images import Preprocessing
from convlens.runs.environment import versions
from convlens.runs.run_weights import save_weights


def describe(classes=("кошка", "dog"), network_classes=2):
    return runs.Description(
        name="pets",
        created="2026-11-24T06:00:00+00:00",
        network=runs.NetworkChoice(name="lenet5", classes=network_classes, channels=1, size=(32, 32)),
        classes=classes,
        preprocessing=Preprocessing(size=(32, 32), resize=(32, 32), mean=(0.5,), std=(0.25,), channels=1),
        config={"epochs": 3},
        data=runs.DataSummary(source="pets", fingerprint="abc", splits={"train": 8, "val": 2}),
        numerics={"precision": "float32"},
        versions=versions(),
    )


@pytest.fixture
def folder(tmp_path):
    made = runs.create_folder(tmp_path, "pets", describe())
    for which in ("best", "last"):
        save_weights(made.build_network().state_dict(), made.weights_path(which))
    return made


def test_a_description_survives_the_file(folder):
    assert runs.open_folder(folder.path).description == describe()


@pytest.mark.parametrize(
    ("before", "after"), [("dog", "dig"), ("mean:\n  - 0.5", "mean:\n  - 0.7"), ("name: lenet5", "name: lenet4")]
)
def test_what_decides_answers_does_not_change_unseen(folder, before, after):
    file = folder.path / "run.yaml"
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")
    with pytest.raises(runs.RunError, match=r"run\.yaml has another network, other classes .* line 'digest'"):
        runs.open_folder(folder.path)
    changed = text.replace(before, after).splitlines(keepends=True)
    file.write_text("".join(line for line in changed if not line.startswith("digest:")), encoding="utf-8")
    runs.read_folder(folder.path)


def test_a_run_is_never_overwritten(tmp_path):
    made = [runs.create_folder(tmp_path, "pets", describe()) for _ in range(3)]
    assert [folder.path.name for folder in made] == ["pets", "pets-2", "pets-3"]
    assert made[2].description.name == "pets-3"


def test_a_run_moves_by_copying_the_folder(folder, tmp_path):
    shutil.copytree(folder.path, tmp_path / "elsewhere" / "renamed")
    moved = runs.open_folder(tmp_path / "elsewhere" / "renamed").load_network()
    assert not moved.training
    for name, tensor in folder.load_network().state_dict().items():
        assert torch.equal(tensor, moved.state_dict()[name])


def test_missing_weights_are_named(folder):
    folder.weights_path("last").unlink()
    with pytest.raises(runs.RunError, match=r"no .*last\.safetensors"):
        runs.open_folder(folder.path)


@pytest.mark.parametrize("size", [0, 5, 1000, -1])
def test_truncated_weights_are_named(folder, size):
    path = folder.weights_path("best")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(runs.RunError, match=r"best\.safetensors .*truncated"):
        runs.open_folder(folder.path)


def test_weights_of_another_network_are_refused(folder):
    save_weights(networks.create("lenet5", classes=3).state_dict(), folder.weights_path("best"))
    with pytest.raises(runs.RunError, match=r"does not match .* is 3×84 in the file and 2×84 in the network"):
        runs.open_folder(folder.path)
    with pytest.raises(runs.RunError, match="does not match"):
        folder.load_network()


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(ConvlensError, match=r"has no run\.yaml"):
        runs.open_folder(tmp_path)
    with pytest.raises(ConvlensError, match="no run folder"):
        runs.open_folder(tmp_path / "none")


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("classes", None, "cannot be understood"),
        ("classes", ["one"], "names 1 classes for a network with 2"),
        ("network", {"name": "lenet5"}, "lacks the entry 'size'"),
        ("format", 99, "has format 99"),
    ],
)
def test_a_damaged_description_is_one_line(folder, entry, value, message):
    file = folder.path / "run.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {entry: value}))
    with pytest.raises(runs.RunError, match=message) as caught:
        runs.open_folder(folder.path)
    assert "\n" not in str(caught.value)


def test_a_description_that_is_no_yaml(folder):
    (folder.path / "run.yaml").write_text("format: [1")
    with pytest.raises(runs.RunError, match="cannot be read"):
        runs.open_folder(folder.path)


def test_metrics_are_one_row_an_epoch_in_both_files(folder):
    history = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "val_top1": 0.9}]
    folder.write_metrics(history)
    assert folder.metrics() == history
    assert (folder.path / "results.csv").read_text().split() == ["epoch,loss,val_top1", "1,0.5,", "2,0.25,0.9"]


def test_the_description_can_be_replaced(folder):
    changed = folder.write_description(replace(folder.description, result={"epochs": 2}))
    assert runs.open_folder(folder.path).description == changed.description


def test_one_changed_byte_of_the_weights_is_noticed_wherever_it_is(folder):
    path = folder.weights_path("best")
    whole = path.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    for place in (0, 9, 8 + header // 2, 8 + header, len(whole) // 2, len(whole) - 1):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(runs.RunError, match=r"best\.safetensors"):
            folder.load_network()
    path.write_bytes(whole)
    folder.load_network()


def test_weights_without_a_digest_are_refused(folder):
    from safetensors.torch import save_file

    save_file(folder.build_network().state_dict(), folder.weights_path("best"))
    with pytest.raises(runs.RunError, match="not sealed by convlens"):
        folder.load_network()


def test_surplus_tensors_in_the_weights_are_refused(folder):
    state = folder.build_network().state_dict() | {"surplus.weight": torch.zeros(3)}
    save_weights(state, folder.weights_path("best"))
    for look in (folder.load_network, lambda: runs.open_folder(folder.path)):
        with pytest.raises(runs.RunError, match=r"surplus\.weight is 3 in the file and missing in the network"):
            look()


def test_a_description_that_multiplies_is_not_read(folder):
    (folder.path / "run.yaml").write_text("a: &a [1, 1]\nb: [*a, *a]\n")
    with pytest.raises(runs.RunError, match="alias"):
        runs.open_folder(folder.path)
