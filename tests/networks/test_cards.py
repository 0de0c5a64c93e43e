import pytest
import torch

from convlens.networks import card, create, names


@pytest.mark.parametrize("name", names())
def test_the_parameters_on_the_card_are_those_of_the_network(name):
    with torch.device("meta"):
        network = create(name)
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == card(name).parameters


@pytest.mark.parametrize("name", names())
def test_the_macs_on_the_card_are_those_of_the_network(name):
    sheet = card(name)
    with torch.device("meta"):
        network = create(name).eval()
        x = torch.zeros(1, sheet.channels, *sheet.input_size)
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        network(x)
    assert counter.get_total_flops() == 2 * sheet.macs
