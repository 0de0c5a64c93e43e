import copy

import numpy as np
import pytest
import torch
from torch import nn

from convlens import networks
from convlens.errors import ConvlensError
from convlens.explaining import METHODS, explain
from convlens.explaining.attribution import integrated_gradients
from convlens.explaining.heat_pictures import overlay, sheet
from convlens.explaining.occlusion import occlude, occlusion

from .conftest import OBJECT, small_network

GRADIENTS = [method for method in METHODS if method != "occlusion"]


def test_the_small_network_has_learned(trained, unseen):
    with torch.no_grad():
        assert (trained(unseen.images).argmax(1) == unseen.labels).float().mean() > 0.95


@pytest.mark.parametrize("method", METHODS)
def test_the_hottest_place_lies_on_the_object(trained, unseen, method):
    # the pointing game of Zhang et al. 2018, without its margin
    hits = 0
    count = 30 if method == "occlusion" else 60
    for image, label, (top, left) in zip(unseen.images[:count], unseen.labels, unseen.corners, strict=False):
        patch = 16 if method == "occlusion" else None
        heat = explain(trained, image, method=method, target=int(label), patch=patch).heat
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        hits += top <= row < top + OBJECT and left <= column < left + OBJECT
    assert hits >= 0.9 * count


@pytest.mark.parametrize("shape", [(1, 30, 21), (3, 224, 224)])
@pytest.mark.parametrize("patch", [1, 5, 17, None])
def test_occlusion_covers_every_pixel_and_takes_few_large_images_at_a_time(shape, patch):
    passes, covered = [], np.zeros(shape, bool)

    def probabilities(x_NCHW):
        passes.append(len(x_NCHW))
        np.logical_or(covered, (x_NCHW == 0).any(0), out=covered)
        return np.full((len(x_NCHW), 2), 0.5, np.float32)

    if patch == 1 and shape[0] == 3:
        patch = 19  # a pixel at a time would be 50,000 passes
    raw = occlude(probabilities, np.ones(shape, np.float32), 0, patch)
    assert covered.all()
    assert not raw.any()
    assert max(passes) == (4 if shape[0] == 3 else min(64, max(passes)))


def test_occlusion_is_the_same_in_any_batch(trained, unseen):
    x = unseen.images[0].numpy()

    def probabilities(x_NCHW):
        with torch.no_grad():
            return torch.softmax(trained(torch.from_numpy(x_NCHW)), 1).numpy()

    one, other = (occlusion(probabilities, x, 1, patch=12, stride=4, batch=batch) for batch in (1, 50))
    np.testing.assert_allclose(one, other, atol=1e-5)


# Adebayo et al. 2018: a map that survives other parameters tells of the image, not of the network. The weights of
# Grad-CAM++ are never negative and Eigen-CAM asks for no class, so both follow what is bright even in an untrained
# network, though less.
@pytest.mark.parametrize(
    ("method", "most"),
    [("gradcam", 0.5), ("integrated-gradients", 0.55), ("occlusion", 0.5), ("gradcam++", 0.95), ("eigencam", 0.95)],
)
def test_other_parameters_give_another_map(trained, unseen, method, most):
    with torch.random.fork_rng():
        torch.manual_seed(5)
        random = small_network()
    likeness = []
    for image, label in zip(unseen.images[:10], unseen.labels, strict=False):
        maps = [explain(network, image, method=method, target=int(label)).heat.ravel() for network in (trained, random)]
        likeness.append(np.corrcoef(maps)[0, 1] if all(each.any() for each in maps) else 0.0)
    assert np.mean(likeness) < most


def test_grad_cam_of_a_network_that_ends_in_pooling_and_one_layer_is_cam(trained, unseen):
    # Selvaraju et al. 2017, section 3.1
    explained = explain(trained, unseen.images[0], target=1)
    activation = trained[:-3](unseen.images[:1])[0]
    cam = torch.relu(torch.einsum("c,chw->hw", trained[-1].weight[1], activation)) / activation[0].numel()
    np.testing.assert_allclose(explained.raw, cam.detach().numpy(), rtol=1e-4, atol=1e-6)
    assert explained.layer == "10"


@pytest.mark.parametrize("name", ["lenet5", "alexnet", "vgg11", "googlenet", "resnet18", "resnet20", "efficientnet_b0"])
def test_every_family_has_a_layer_to_read(name):
    card = networks.card(name)
    size = card.input_size if max(card.input_size) < 64 else (64, 64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = networks.create(name, size=size)
    x = np.random.default_rng(0).normal(size=(card.channels, *size)).astype(np.float32)
    explained = explain(network, x, target=3)
    assert explained.heat.shape == size
    assert explained.layer
    assert np.isfinite(explained.raw).all()


class Foreign(nn.Module):
    """Somebody else's network: shared and in-place activations, a branch past the layer, no module for the pooling."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.act = nn.Hardswish(inplace=True)
        self.out = nn.Linear(16, 4)

    def forward(self, x):
        early = self.act(self.first(x))
        late = self.act(early + self.second(early))
        return self.out(torch.cat([late.mean((2, 3)), early.amax((2, 3))], 1))


@pytest.mark.parametrize("method", METHODS)
def test_a_network_is_left_as_it_was(method):
    torch.manual_seed(1)
    network = Foreign()
    network.second.eval()
    network.first.weight.requires_grad_(False)
    before = copy.deepcopy(network.state_dict())
    x = torch.randn(3, 32, 32)
    kept = x.clone()
    explain(network, x, method=method)
    assert torch.equal(x, kept)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert [network.training, network.first.training, network.second.training] == [True, True, False]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_a_layer_can_be_chosen():
    torch.manual_seed(1)
    network, x = Foreign(), torch.randn(3, 32, 32)
    assert explain(network, x, layer="first").raw.shape == (16, 16)
    assert explain(network, x).layer == "act"


def test_the_shares_of_integrated_gradients_add_up_to_the_score(trained, unseen):
    x = unseen.images[0]
    shares = integrated_gradients(trained, x, 2, steps=64)
    with torch.no_grad():
        score = trained(x[None])[0, 2] - trained(torch.zeros_like(x)[None])[0, 2]
    assert float(shares.sum()) == pytest.approx(float(score), rel=0.02, abs=0.02)


def test_captum_agrees(trained, unseen):
    attr = pytest.importorskip("captum.attr")
    x = unseen.images[3]
    theirs = attr.IntegratedGradients(trained).attribute(x[None].clone(), target=2, n_steps=64, method="gausslegendre")
    torch.testing.assert_close(integrated_gradients(trained, x, 2, steps=64), theirs[0].float(), rtol=1e-3, atol=1e-4)

    cam = attr.LayerGradCam(trained, trained[9]).attribute(x[None].clone(), target=2, relu_attributions=True)
    np.testing.assert_allclose(explain(trained, x, target=2, layer="9").raw, cam[0, 0].detach(), rtol=1e-4, atol=1e-6)


def test_what_cannot_be_explained_says_what_can():
    x = np.zeros((1, 28, 28), np.float32)
    mlp = networks.create("mlp")
    with pytest.raises(ConvlensError, match="use the method occlusion or integrated-gradients"):
        explain(mlp, x)
    assert explain(mlp, x + 1, method="integrated-gradients").heat.shape == (28, 28)
    with pytest.raises(ConvlensError, match=r"unknown method 'grad-cam'; did you mean gradcam"):
        explain(mlp, x, method="grad-cam")
    with pytest.raises(ConvlensError, match="target is 10; the network has classes 0 to 9"):
        explain(mlp, x, method="occlusion", target=10)
    with pytest.raises(ConvlensError, match="occlusion reads no layer"):
        explain(mlp, x, method="occlusion", layer="0")
    with pytest.raises(ConvlensError, match=r"takes one preprocessed image \(C, H, W\)"):
        explain(mlp, x[None])
    lenet = networks.create("lenet5")
    with pytest.raises(ConvlensError, match="unknown layer 'c33'; did you mean c3"):
        explain(lenet, np.zeros((1, 32, 32), np.float32), layer="c33")
    with pytest.raises(ConvlensError, match="nothing with a height and a width; choose an earlier one"):
        explain(lenet, np.zeros((1, 32, 32), np.float32), layer="f6")


def _caption(text):
    picture = np.full((224, 224, 3), 255, np.uint8)
    return np.asarray(sheet([(text, picture, picture), ("", picture, picture)]))


def test_a_caption_is_written_in_the_alphabet_of_the_class():
    boxes = _caption("\U0010fffd" * 5)  # no font has this letter
    for text in ("кошка", "γάτα", "kočka"):
        assert not np.array_equal(_caption(text), _caption(text[::-1]))
        assert not np.array_equal(_caption(text), boxes)


def test_a_long_caption_ends_before_the_next():
    beside = _caption("a-very-long-name-" * 20 + ".png: cat 99.9%")[:, 484:]
    assert beside.min() == 255


def test_the_colours_of_heat_are_those_of_inferno():
    import matplotlib

    heat = np.linspace(0, 1, 300, dtype=np.float32)[np.newaxis]
    share = (heat * (2 - heat))[..., np.newaxis]
    expected = matplotlib.colormaps["inferno"](heat)[..., :3] * 255 * share
    assert np.abs(overlay(np.zeros((1, 300, 3), np.uint8), heat, strength=1.0) - expected).max() < 8
