import numpy as np
import pytest
import torch

from convlens import networks
from convlens.errors import ConvlensError
from convlens.images import Preprocessing
from convlens.predicting import torch_predictor

PREPROCESSING = Preprocessing(size=(32, 32), resize=(32, 32), mean=(0.5,), std=(0.25,), channels=1)


def test_rows_are_the_softmax_of_the_network_in_evaluation_mode():
    network = networks.create("lenet5", classes=3)
    predictor = torch_predictor(network, ("a", "b", "c"), PREPROCESSING, device="cpu")
    x = np.random.default_rng(0).normal(size=(5, 1, 32, 32)).astype(np.float32)
    p = predictor.probabilities(x)
    expected = network(torch.from_numpy(x)).softmax(dim=1)
    assert not network.training
    assert p.dtype == np.float32
    np.testing.assert_allclose(p, expected.detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("device", ["gpu", "cuda:99", ""])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(ConvlensError, match=f"no device '{device}'"):
        torch_predictor(networks.create("lenet5"), tuple("0123456789"), PREPROCESSING, device=device)
