"""Files of weights: what is accepted, what is adapted, and what is refused with which words."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

import convlens
from convlens.errors import ConvlensError
from convlens.networks.checkpoints import WeightsFileError, read_checkpoint
from convlens.networks.loading import WeightsMismatchError
from convlens.networks.weights import looks_like


@pytest.fixture
def lenet(tmp_path):
    network = convlens.create("lenet5")
    torch.save(network.state_dict(), tmp_path / "lenet5.pth")
    return network, tmp_path / "lenet5.pth"


def equal(ours, theirs):
    return all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_our_own_weights_come_back_from_every_kind_of_file(lenet, tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(lenet[0].state_dict(), path)
    assert equal(lenet[0].state_dict(), convlens.create("lenet5", weights=path).state_dict())
    assert equal(lenet[0].state_dict(), convlens.create("lenet5", weights=str(path)).state_dict())


@pytest.mark.parametrize("wrap", [lambda d: {"state_dict": d, "epoch": 3}, lambda d: {"model": {"state_dict": d}}])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_what_training_scripts_wrap_around_the_weights_is_taken_off(lenet, tmp_path, wrap, prefix):
    entries = {f"{prefix}{name}": value for name, value in lenet[0].state_dict().items()}
    torch.save(wrap(entries), tmp_path / "checkpoint.pth")
    assert equal(lenet[0].state_dict(), convlens.create("lenet5", weights=tmp_path / "checkpoint.pth").state_dict())


def test_the_pickle_format_before_torch_1_6_is_read(lenet, tmp_path):
    torch.save(lenet[0].state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert equal(lenet[0].state_dict(), convlens.create("lenet5", weights=tmp_path / "old.pth").state_dict())


def test_other_classes_get_a_new_head_and_the_log_says_so(lenet, caplog):
    network = convlens.create("lenet5", classes=3, weights=lenet[1])
    assert network.output.weight.shape == (3, 84)
    assert torch.equal(network.f6.weight, lenet[0].f6.weight)
    assert f"output starts anew: {lenet[1]} has 10 classes, 3 are wanted" in caplog.text


def test_classes_and_channels_are_those_of_the_file_when_not_given(tmp_path):
    torch.save(convlens.create("resnet20", classes=4, channels=1).state_dict(), tmp_path / "gray.pth")
    network = convlens.create("resnet20", weights=tmp_path / "gray.pth")
    assert (network.fc.out_features, network.conv1.in_channels) == (4, 1)


def test_one_channel_sees_what_three_equal_channels_would(tmp_path):
    colour = convlens.create("resnet20").eval()
    torch.save(colour.state_dict(), tmp_path / "colour.pth")
    gray = convlens.create("resnet20", channels=1, weights=tmp_path / "colour.pth").eval()
    x = torch.rand(1, 1, 32, 32)
    torch.testing.assert_close(gray(x), colour(x.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("channels", [2, 4, 7])
def test_other_channels_keep_the_response_to_equal_channels(tmp_path, channels):
    colour = convlens.create("resnet20").eval()
    torch.save(colour.state_dict(), tmp_path / "colour.pth")
    kernel = convlens.create("resnet20", channels=channels, weights=tmp_path / "colour.pth").conv1.weight
    wanted = torch.stack([colour.conv1.weight[:, i % 3] for i in range(channels)], dim=1) * 3 / channels
    torch.testing.assert_close(kernel, wanted)


def test_a_checkpoint_of_another_network_says_which_one_it_looks_like(tmp_path):
    torch.save(convlens.create("resnet18", classes=5).state_dict(), tmp_path / "mine.pth")
    with pytest.raises(
        WeightsMismatchError, match=r"do not fit resnet34: .* they look like resnet18: create"
    ) as caught:
        convlens.create("resnet34", weights=tmp_path / "mine.pth")
    assert "layer1.2.conv1.weight" in caught.value.missing
    assert "\n" not in str(caught.value)


def test_every_kind_of_misfit_is_listed(lenet, tmp_path):
    entries = lenet[0].state_dict()
    del entries["c1.bias"]
    entries["c9.bias"] = torch.zeros(3)
    entries["f6.weight"] = torch.zeros(84, 121)
    torch.save(entries, tmp_path / "odd.pth")
    with pytest.raises(WeightsMismatchError) as caught:
        convlens.create("lenet5", weights=tmp_path / "odd.pth")
    assert (caught.value.missing, caught.value.unexpected) == (["c1.bias"], ["c9.bias"])
    assert caught.value.misshapen == {"f6.weight": ((84, 121), (84, 120))}
    for part in ("1 missing (c1.bias)", "1 unexpected (c9.bias)", "f6.weight (84, 121) for (84, 120)", "no network"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "name", ["alexnet_2012", "vgg13_bn", "googlenet", "resnet152", "efficientnet_b4", "lenet5_1998"]
)
def test_weights_are_recognised(name):
    with torch.device("meta"):
        entries = convlens.create(name, classes=12).state_dict()
    assert looks_like(entries) == name


def test_published_names_of_other_networks_are_offered():
    with pytest.raises(ConvlensError, match="unknown weights of resnet50 'imagenet1k_v3'; did you mean imagenet1k_v"):
        convlens.create("resnet50", weights="imagenet1k_v3")
    with pytest.raises(ConvlensError, match="none are published for lenet5; give a file"):
        convlens.create("lenet5", weights="imagenet1k_v1")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(WeightsFileError, match=r"there is no file of weights '.*none\.pth'; check the path"):
        convlens.create("lenet5", weights=tmp_path / "none.pth")


def test_another_kind_of_file_is_named(tmp_path):
    (tmp_path / "weights.txt").write_text("12")
    with pytest.raises(WeightsFileError, match=r"is not a file of weights; they end in \.pth, \.pt, \.safetensors"):
        convlens.create("lenet5", weights=tmp_path / "weights.txt")


class Malicious:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        import os

        return os.system, (self.command,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_refused_and_not_executed(tmp_path, zipped):
    bad = {"c1.weight": torch.zeros(1), "c1.bias": Malicious(f"touch {tmp_path / 'executed'}")}
    torch.save(bad, tmp_path / "bad.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsFileError, match=r"is refused: its pickle holds more than tensors .*system") as caught:
        read_checkpoint(tmp_path / "bad.pth")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "executed").exists()


def test_a_bare_pickle_with_code_is_refused_and_not_executed(tmp_path):
    (tmp_path / "bad.pt").write_bytes(pickle.dumps(Malicious(f"touch {tmp_path / 'executed'}")))
    with pytest.raises(WeightsFileError, match=r"is refused|is damaged"):
        read_checkpoint(tmp_path / "bad.pt")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 1, 30, 5000, -1])
def test_a_truncated_file_is_damaged(lenet, tmp_path, suffix, kept):
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(lenet[0].state_dict(), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsFileError, match=r"is damaged .*get it again") as caught:
        convlens.create("lenet5", weights=path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}, torch.zeros(3)])
def test_a_file_without_weights_says_what_to_save(tmp_path, content):
    torch.save(content, tmp_path / "nothing.pt")
    with pytest.raises(WeightsFileError, match="holds no weights; save the state_dict"):
        convlens.create("lenet5", weights=tmp_path / "nothing.pt")
