import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convlens import networks
from convlens.networks import WithAuxiliary
from convlens.training import TrainConfig
from convlens.training.averaging import AverageWeights
from convlens.training.distillation import Teacher, distillation_loss
from convlens.training.lamb import Lamb
from convlens.training.optimisers import body_that_learns, heads_that_learn, let_learn, make_optimizer, stages
from convlens.training.speed.recomputation import recomputing
from convlens.training.step import Step

PLAIN = TrainConfig(data="digits", label_smoothing=0.0, clip_norm=0.0)


def batch(count=12, side=32, classes=10):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 1, side, side, generator=generator)
    return images, torch.randint(0, classes, (count,), generator=generator)


def fresh(name="lenet5", **settings):
    torch.manual_seed(0)
    return networks.create(name, channels=1, classes=10, size=(32, 32), **settings).train()


def weights_after(network, step, parts=1, steps=2):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    x, y = batch()
    losses = [step(network, optimizer, x, y, parts).item() for _ in range(steps)]
    return losses, {name: p.detach().clone() for name, p in network.named_parameters()}


@pytest.mark.parametrize("parts", [2, 3, 5, 12])
def test_a_batch_in_parts_gives_the_step_of_the_whole(parts):
    config = TrainConfig(data="digits", clip_norm=0.5)
    losses, whole = weights_after(fresh(), Step.of(config))
    in_parts_losses, in_parts = weights_after(fresh(), Step.of(config), parts)
    assert in_parts_losses == pytest.approx(losses, rel=1e-5)
    for name, tensor in whole.items():
        torch.testing.assert_close(tensor, in_parts[name], rtol=1e-4, atol=1e-6)


def test_auxiliary_heads_count_as_the_network_says():
    step = Step.of(PLAIN)
    logits, first, second = torch.randn(3, 4, 5)
    y = torch.tensor([0, 1, 2, 3])
    loss = step.loss(WithAuxiliary(logits, (first, second), 0.3), y)
    expected = [F.cross_entropy(scores, y, reduction="sum") for scores in (logits, first, second)]
    torch.testing.assert_close(loss, expected[0] + 0.3 * (expected[1] + expected[2]))


def test_mixed_targets_and_class_weights():
    scores, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 2])
    weighted = Step.of(PLAIN, class_weights=torch.tensor([2.0, 1.0, 0.5]))
    each = F.cross_entropy(scores, y, reduction="none")
    torch.testing.assert_close(weighted.loss(scores, y), (each * torch.tensor([2.0, 1.0, 0.5, 0.5])).sum())
    hard = F.one_hot(y, 3).float()
    torch.testing.assert_close(Step.of(PLAIN).loss(scores, hard), each.sum())


class Fixed(nn.Module):
    def __init__(self, scores):
        super().__init__()
        self.scores = scores

    def forward(self, x):
        self.seen = x
        return self.scores.expand(len(x), -1)


def test_a_teacher_sees_its_own_kind_of_input_and_its_classes_are_matched_by_name():
    from convlens.images import Preprocessing

    ours = Preprocessing(size=(8, 8), mean=(0.5,), std=(0.25,), channels=1)
    theirs = Preprocessing(size=(16, 16), mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5), channels=3)
    network = Fixed(torch.tensor([1.0, 2.0, 3.0]))
    teacher = Teacher(network=network, order=torch.tensor([2, 0, 1]), theirs=theirs, ours=ours)
    values = torch.full((2, 1, 8, 8), 0.75)
    scores = teacher.scores((values - 0.5) / 0.25)
    assert scores.tolist() == [[3.0, 1.0, 2.0]] * 2
    assert network.seen.shape == (2, 3, 16, 16)
    expected = (0.75 - torch.tensor([0.1, 0.2, 0.3])) / 0.5
    torch.testing.assert_close(network.seen[0, :, 3, 3], expected)


def test_a_student_that_says_what_the_teacher_says_has_no_distillation_loss():
    scores = torch.randn(4, 3)
    assert distillation_loss(scores, scores + 1, 2.0).item() == pytest.approx(0, abs=1e-5)
    assert distillation_loss(scores, -scores, 2.0).item() > 0.1


def test_the_average_follows_and_forgets_where_it_began():
    network = nn.Linear(2, 2)
    average = AverageWeights(network, 0.5)
    first = average.network.weight.clone()
    with torch.no_grad():
        network.weight.add_(1.0)
    average.update(network, 100)
    torch.testing.assert_close(average.network.weight, first + 0.5)
    average.update(network, 0)  # at the beginning nine tenths of the new weights are taken
    torch.testing.assert_close(average.network.weight, first + 0.95)


@pytest.mark.parametrize("steps", [40, 400, 4000])
def test_the_average_reaches_back_over_a_fraction_of_any_training(steps):
    network = nn.Linear(1, 1)
    average = AverageWeights(network, 0.999)
    for step in range(steps):
        with torch.no_grad():
            network.weight.fill_(step / steps)  # weights that tell how much of the training is done
        average.update(network, step)
    assert 0.85 < average.network.weight.item() < 1.0


def test_lamb_steps_are_as_long_as_the_rate_times_the_weights():
    decayed, plain = nn.Parameter(torch.randn(5, 5)), nn.Parameter(torch.randn(5))
    groups = [{"params": [decayed], "weight_decay": 0.1}, {"params": [plain], "weight_decay": 0.0}]
    optimizer = Lamb(groups, lr=0.01)
    before, length = decayed.detach().clone(), decayed.detach().norm()
    decayed.grad, plain.grad = torch.randn(5, 5), torch.ones(5)
    start = plain.detach().clone()
    optimizer.step()
    assert (decayed.detach() - before).norm().item() == pytest.approx(0.01 * length.item(), rel=1e-4)
    torch.testing.assert_close(plain.detach(), start - 0.01)  # Adam's first step has length one
    again = Lamb(groups, lr=0.01)
    again.load_state_dict(optimizer.state_dict())
    assert torch.equal(again.state[decayed]["first"], optimizer.state[decayed]["first"])


def test_early_stages_learn_more_slowly_and_every_parameter_once():
    network = fresh("resnet20")
    optimizer = make_optimizer(network, TrainConfig(data="digits", layer_decay=0.9))
    ids = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in network.parameters())
    scales = [group["scale"] for group in optimizer.param_groups]
    assert scales == sorted(scales)
    assert scales[-1] == 1.0
    assert scales[0] == 0.9 ** (len(stages(network)) - 1)


def named_in(network, module):
    """Names and tensors of the whole network's state that are a module's own."""
    own = {id(tensor) for tensor in module.state_dict(keep_vars=True).values()}
    return [(name, tensor) for name, tensor in network.state_dict(keep_vars=True).items() if id(tensor) in own]


def test_stages_that_would_hardly_learn_keep_weights_and_statistics():
    network, config = fresh("resnet20"), TrainConfig(data="digits", layer_decay=0.5)
    before = copy.deepcopy(network.state_dict())
    let_learn(network.train(), body_that_learns(network, config))
    Step.of(PLAIN)(network, make_optimizer(network, config), *batch())
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    last = [name for stage in stages(network)[-4:] for module in stage.modules for name, _ in named_in(network, module)]
    assert changed == set(last)  # 0.5 to the power of 3 is more than a tenth, of 4 less


def test_a_frozen_body_keeps_weights_and_statistics_while_the_head_learns():
    network = fresh("resnet20")
    head = [name for name, _ in network.named_children()][-1]
    before = copy.deepcopy(network.state_dict())
    let_learn(network, heads_that_learn(network, [head]))
    config = TrainConfig(data="digits", weight_decay=0.1)
    optimizer = make_optimizer(network, config)
    x, y = batch()
    Step.of(PLAIN)(network, optimizer, x, y)
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {f"{head}.weight", f"{head}.bias"}
    let_learn(network.train(), body_that_learns(network, config))
    assert all(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("name", ["resnet20", "efficientnet_b0"])
def test_recomputing_changes_no_bit(name):
    def everything(recompute):
        network = fresh(name)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        x, y = batch(4)
        kinds = {type(module) for module in network.modules()}
        torch.manual_seed(1)
        if recompute:
            with recomputing(network) as blocks:
                assert blocks > 2
                Step.of(PLAIN)(network, optimizer, x, y)
        else:
            Step.of(PLAIN)(network, optimizer, x, y)
        assert {type(module) for module in network.modules()} == kinds
        return network.state_dict()

    plain, again = everything(False), everything(True)
    for key, tensor in plain.items():
        assert torch.equal(tensor, again[key]), key
