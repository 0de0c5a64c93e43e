"""The head from logistic regression, and epochs in which the body stays as it is."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression

from convlens import networks, runs
from convlens.cli.main import main
from convlens.errors import ConvlensError
from convlens.training import TrainConfig, features
from convlens.training.features import Body
from convlens.training.probing import fit_probe
from convlens.training.progress import Silence
from convlens.training.settings import settle
from convlens.training.train import go_on, start


class Notes(Silence):
    def __init__(self):
        self.said = []

    def say(self, note):
        self.said.append(note)


def clusters(images, dimensions, classes, seed=0):
    """Features of classes that lie around a point each."""
    generator = np.random.default_rng(seed)
    y = np.arange(images) % classes
    centres = generator.normal(size=(classes, dimensions))
    return (centres[y] + generator.normal(size=(images, dimensions))).astype(np.float32) + 3, y


@pytest.mark.parametrize(("images", "dimensions", "classes"), [(60, 200, 3), (200, 20, 4), (40, 90, 2)])
def test_the_probe_is_scikit_learns_logistic_regression_whatever_the_dimensions(images, dimensions, classes):
    x, y = clusters(images, dimensions, classes)
    probe = fit_probe(x, y, classes, balanced=False, seed=0)
    assert "cross-validation" in probe.chosen_by
    scaled = x / x.std()
    expected = LogisticRegression(C=probe.penalty, max_iter=1000).fit(scaled, y).predict_proba(scaled)
    scores = x @ probe.weight.T + probe.bias
    found = torch.from_numpy(scores).softmax(dim=1).numpy()
    assert np.abs(found - expected).max() < 0.02
    assert (found.argmax(axis=1) == y).mean() > 0.9


def test_one_image_a_class_and_a_class_without_any():
    x, y = clusters(3, 30, 3)
    probe = fit_probe(x, y, 4, balanced=False, seed=0)
    assert probe.chosen_by == "the usual one"
    scores = x @ probe.weight.T + probe.bias
    assert scores.argmax(axis=1).tolist() == [0, 1, 2]
    assert (scores[:, 3] < scores[:, :3].min(axis=1)).all()


def test_a_thousand_classes_take_seconds():
    x, y = clusters(2000, 64, 1000)
    probe = fit_probe(x * 3, y, 1000, balanced=False, seed=0)
    assert probe.weight.shape == (1000, 64)
    assert ((x * 3 @ probe.weight.T + probe.bias).argmax(axis=1) == y).mean() > 0.5


def test_small_classes_count_as_much_as_large_ones_where_that_is_asked():
    x, y = clusters(400, 5, 2)
    keep = (y == 0) | (np.arange(400) % 40 == 1)
    x, y = x[keep], y[keep]

    def recall(balanced):
        probe = fit_probe(x, y, 2, balanced=balanced, seed=0)
        return ((x @ probe.weight.T + probe.bias).argmax(axis=1) == 1)[y == 1].mean()

    assert recall(balanced=True) >= recall(balanced=False)


def test_features_are_the_inputs_of_the_last_layer_and_the_network_is_left_as_it_was():
    network = networks.create("resnet20", classes=7, size=(32, 32)).train()
    network.layer1.eval() if hasattr(network, "layer1") else None
    modes = [module.training for module in network.modules()]
    body = Body.of(network, ("fc",))
    x = torch.randn(3, 3, 32, 32)
    found = body.features(x)
    assert [module.training for module in network.modules()] == modes
    network.eval()
    assert torch.allclose(body.head(found), network(x), atol=1e-5)


def test_a_network_without_one_linear_layer_at_its_end_has_no_body():
    assert Body.of(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1)), ("0",)) is None
    assert Body.of(torch.nn.Sequential(torch.nn.Linear(3, 4)), ("none",)) is None


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """A run on digits whose weights others begin with."""
    folder = tmp_path_factory.mktemp("before")
    config = TrainConfig(
        data="digits", network="resnet20", epochs=2, batch=64, size=16, tune=False, threads=1, runs=str(folder)
    )
    return start(config, Silence()).folder


@pytest.fixture
def given(before, tmp_path):
    """Settings of a short training from these weights."""
    return {
        "data": "digits",
        "network": "resnet20",
        "weights": str(before.path),
        "threads": 1,
        "precision": "float32",
        "tune": False,
        "runs": str(tmp_path / "runs"),
        "batch": 64,
    }


def test_a_probe_is_a_run_like_any_other_and_its_figure_is_that_of_evaluate(given, capsys):
    notes = Notes()
    folder = start(settle(given | {"recipe": "probe"}), notes).folder
    assert folder.description.result["status"] == "finished"
    rows = folder.metrics()
    assert [row["epoch"] for row in rows] == [0]
    said = next(note for note in notes.said if note.startswith("probe: "))
    assert f"probe: {rows[0]['val_top1']:.1%} in " in said
    assert main(["evaluate", str(folder.path), "--split", "val", "--json"]) == 0
    assert f'"top1": {rows[0]["val_top1"]}' in capsys.readouterr().out
    network = runs.open_folder(folder.path).load_network()
    old = runs.open_folder(given["weights"]).load_network().state_dict()
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, old[name])}
    assert changed == {"fc.weight", "fc.bias"}
    assert "none: the probe" in (folder.path / "report.html").read_text(encoding="utf-8")


def test_features_are_computed_once_and_found_again_by_the_next_run(given, monkeypatch):
    first = start(settle(given | {"recipe": "probe"}), Silence()).folder

    def refuse(self, x):
        raise AssertionError("computed again")

    monkeypatch.setattr(Body, "fastest", lambda self, x: self)
    monkeypatch.setattr(features.Body, "features", refuse)
    second = start(settle(given | {"recipe": "probe"}), Silence()).folder
    assert second.path != first.path
    for one, other in zip(*(f.load_network().state_dict().values() for f in (first, second)), strict=True):
        assert torch.equal(one, other)


def test_fine_tuning_begins_with_the_probe_and_is_never_kept_below_it_by_more_than_chance(given):
    notes = Notes()
    folder = start(settle(given | {"epochs": 1}), notes).folder
    assert folder.config["recipe"] == "finetune"
    assert any(note.startswith("probe: ") and "; fine-tuning for 1 epochs" in note for note in notes.said)
    rows = folder.metrics()
    assert [row["epoch"] for row in rows] == [0, 1]
    assert rows[0]["val_top1"] > 0.9


def test_a_frozen_body_is_computed_once_a_view_and_not_once_an_epoch(given, monkeypatch):
    plain, seen = Body.features, []

    def counted(self, x):
        seen.append(len(x))
        return plain(self, x)

    monkeypatch.setattr(Body, "features", counted)
    settings = settle(given | {"probe": False, "epochs": 9, "freeze_epochs": 8})
    folder = start(settings, Silence()).folder
    train, val = (folder.description.data.splits[name] for name in ("train", "val"))
    assert sum(seen) <= 4 * train + val
    assert len(folder.metrics()) == 9
    rows = folder.metrics()
    assert rows[7]["val_top1"] > rows[0]["val_top1"]


@pytest.mark.parametrize("mixing", [{"mixup": 0.2}, {"cutmix": 1.0}])
def test_images_that_are_mixed_are_seen_anew(given, monkeypatch, mixing):
    def refuse(self, x):
        raise AssertionError("features of mixed images were kept")

    monkeypatch.setattr(features.Features, "_computed", refuse)
    config = settle(given | {"probe": False, "epochs": 1, "freeze_epochs": 1} | mixing)
    monkeypatch.setattr("convlens.training.frozen.Frozen.evaluation", lambda *_: None)
    assert len(start(config, Silence()).folder.metrics()) == 1


def test_a_run_that_is_cut_while_its_body_is_frozen_ends_with_the_same_weights(given):
    class Cut(Silence):
        def step(self, state):
            if (state.epoch, state.step) == (1, 3):
                raise KeyboardInterrupt

    settings = given | {"epochs": 3, "freeze_epochs": 2, "checkpoint_steps": 2}
    whole = start(settle(settings | {"name": "whole"}), Silence()).folder
    with pytest.raises(KeyboardInterrupt):
        start(settle(settings | {"name": "cut"}), Cut())
    cut = go_on(f"{given['runs']}/cut", {}, Silence()).folder
    for one, other in zip(*(f.load_network("last").state_dict().values() for f in (whole, cut)), strict=True):
        assert torch.equal(one, other)


def test_a_probe_needs_weights_and_a_training_epochs():
    with pytest.raises(ConvlensError, match="a probe needs weights"):
        TrainConfig(data="digits", network="lenet5", probe=True)
    with pytest.raises(ConvlensError, match="epochs is 0; use at least 1, or --recipe probe"):
        TrainConfig(data="digits", network="lenet5", epochs=0)
    with pytest.raises(ConvlensError, match="no weights are published for lenet5"):
        settle({"data": "digits", "network": "lenet5", "recipe": "probe"})


# Photographs by themselves: without options, on the weights that come as a package.

lite0 = pytest.mark.skipif(networks.places.installed("efficientnet_lite0") is None, reason="Lite0's package is missing")


def draw_photographs(folder, counts, *, mode="RGB", side=(80, 100)):
    """Pictures of noise with a bright or dark disc, a folder a class, so many of each."""
    generator = np.random.default_rng(0)
    for label, count in counts.items():
        for number in range(count):
            shade = generator.integers(60, 160, (*side, 3), np.uint8)
            rows, columns = np.ogrid[: side[0], : side[1]]
            disc = (rows - side[0] // 2) ** 2 + (columns - side[1] // 2) ** 2 < 900
            shade[disc] = (hash_of(label) * np.array([1, 3, 7])) % 256
            path = folder / label / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(shade).convert(mode).save(path)
    return str(folder)


def hash_of(label):
    return 37 * (ord(label[-1]) + 1)


@lite0
@pytest.mark.parametrize(
    ("counts", "how"),
    [
        ({"a": 1, "b": 1}, {}),
        ({"a": 3, "b": 4, "c": 2}, {}),
        ({"a": 40, "b": 2}, {}),
        ({"a": 6, "b": 6}, {"mode": "L"}),
    ],
    ids=["one-image-a-class", "few", "imbalanced", "gray"],
)
def test_photographs_are_fine_tuned_without_options(tmp_path, counts, how):
    notes = Notes()
    data = draw_photographs(tmp_path / "photos", counts, **how)
    config = settle(
        {
            "data": data,
            "recipe": None,
            "runs": str(tmp_path / "runs"),
            "size": 64,
            "epochs": 1,
            "threads": 1,
            "tune": False,
        }
    )
    assert (config.network, config.recipe, config.weights) == ("efficientnet_lite0", "finetune", "imagenet1k")
    folder = start(config, notes).folder
    assert folder.description.result["status"] == "finished"
    assert folder.channels == 3
    assert any(note.startswith("probe: ") for note in notes.said)


@lite0
def test_a_larger_input_than_the_weights_were_trained_at(tmp_path):
    data = draw_photographs(tmp_path / "photos", {"a": 4, "b": 4})
    config = settle({"data": data, "recipe": "probe", "runs": str(tmp_path / "runs"), "size": 288, "threads": 1})
    assert start(config, Silence()).folder.size == (288, 288)


@lite0
def test_icons_digits_and_named_networks_are_left_as_they_were(tmp_path):
    assert settle({"data": "digits"}).recipe == "scratch"
    icons = draw_photographs(tmp_path / "icons", {"a": 3, "b": 3}, side=(32, 32))
    assert settle({"data": icons}).recipe == "scratch"
    photographs = draw_photographs(tmp_path / "photos", {"a": 3, "b": 3})
    assert settle({"data": photographs, "network": "resnet20"}).recipe == "scratch"
    assert settle({"data": photographs, "recipe": "scratch"}).network == "resnet18"
