"""Networks on the meta device: the same entries, and nothing of torch's compiler."""

import subprocess
import sys

import torch

from convlens import networks


def test_an_outline_has_the_entries_of_the_network():
    with networks.outlined():
        outline = networks.create("efficientnet_lite0", classes=3)
    whole = networks.create("efficientnet_lite0", classes=3).state_dict()
    assert {key: value.shape for key, value in outline.state_dict().items()} == {k: v.shape for k, v in whole.items()}
    assert all(value.is_meta for value in outline.state_dict().values())


def test_building_an_outline_does_not_import_the_compiler():
    code = (
        "import sys, convlens.networks as n\n"
        "with n.outlined():\n"
        "    [n.create(name) for name in ('lenet5', 'resnet18', 'googlenet', 'efficientnet_b0', 'amoebanet_d')]\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_outside_numbers_are_drawn_as_ever():
    torch.manual_seed(1)
    before = torch.nn.Linear(3, 2).weight
    with networks.outlined():
        torch.nn.Linear(3, 2)
    torch.manual_seed(1)
    assert torch.equal(torch.nn.Linear(3, 2).weight, before)
