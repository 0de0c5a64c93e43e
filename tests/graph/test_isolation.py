"""Nothing that a recording makes is found anywhere afterwards, wherever the module's code puts what it computes."""

import contextvars
import functools
import gc
import threading
import types
from collections import OrderedDict, deque
from typing import ClassVar

import hypothesis
import matplotlib.pyplot
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

import convlens
from convlens.errors import ConvlensError
from convlens.graph import record
from convlens.graph.snapshot import Snapshot

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.*is deprecated:DeprecationWarning")


@functools.lru_cache(maxsize=8)
def grid(rows, columns):
    return torch.arange(rows * columns, dtype=torch.float32).reshape(rows, columns) / 100


@functools.cache
def noise(size):
    return torch.rand(size)


def swish(x):
    return x * torch.sigmoid(x) + torch.ones(1) * 2


@functools.cache
def scripted_swish():
    return torch.jit.script(swish)


def by_default(size, kept={}):  # noqa: B006
    if size not in kept:
        kept[size] = torch.full((size,), 0.5)
    return kept[size]


def counted():
    memory = {}

    def scale(x):
        memory[tuple(x.shape)] = memory.get(tuple(x.shape), torch.zeros(())) + 1
        return x / (1 + 0 * memory[tuple(x.shape)])

    return scale


class Slotted:
    __slots__ = ("last", "unset")

    def __init__(self):
        self.last = None


class Plain:
    shared = None

    def __init__(self):
        self.cache = {"deep": {"er": []}}
        self.other = Slotted()
        self.recent = deque(maxlen=2)


TABLE = {}
LAST = None
CONTEXT = contextvars.ContextVar("CONTEXT", default=None)


class Remembering(nn.Module):
    """Writes what it computes to every kind of place that Python has."""

    by_class: ClassVar = OrderedDict()

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.plain = Plain()
        self.unregistered = [nn.Conv2d(4, 4, 1)]
        self.scale = counted()
        self.local = threading.local()
        self.outside = []
        self.conv.register_forward_hook(lambda *given: self.outside.append(given[2]))

    @functools.lru_cache  # noqa: B019
    def bias(self, size):
        return self.conv.bias.detach()[:size].reshape(1, size, 1, 1)

    @functools.cached_property
    def offset(self):
        return self.conv.weight.detach().sum()

    def forward(self, x):
        global LAST
        y = self.unregistered[0](self.conv(x))
        y = y + grid(*y.shape[2:]) + by_default(y.shape[3]) + noise(y.shape[3]) + self.bias(4) + self.offset
        y = self.scale(swish(y))
        self.plain.cache["deep"]["er"].append(y)
        self.plain.cache["deep"][y.shape] = (y, [y])
        self.plain.other.last = self.plain.other.unset = y
        self.plain.recent.append(y)
        Plain.shared = Remembering.by_class[y.shape] = LAST = TABLE["last"] = y
        self.forward.__func__.last = self.local.last = y
        self.conv.weight.seen = y
        CONTEXT.set(y)
        return y


THERE_BEFORE = set()


@pytest.fixture(autouse=True)
def _fakes_of_others():
    """What other tests in this process left, such as torch.export's, is none of ours."""
    THERE_BEFORE.clear()
    kept = fakes()  # alive for the test, so that no other object gets one of their numbers
    THERE_BEFORE.update(map(id, kept))
    yield
    del kept


def fakes():
    gc.collect()
    found = [each for each in gc.get_objects() if issubclass(type(each), FakeTensor)]
    return [each for each in found if id(each) not in THERE_BEFORE]


class Tables(nn.Module):
    """Keeps tables for sizes it has seen, as position encodings do; a hit must be what a miss would be."""

    def __init__(self):
        super().__init__()
        self.tables, self.size, self.table = {}, None, None

    def forward(self, x):
        if self.size != x.shape[-1]:
            self.size, self.table = x.shape[-1], torch.linspace(0, 1, x.shape[-1])
        self.tables.setdefault(x.shape[-1], torch.arange(x.shape[-1]) / 7)
        return x * self.table + self.tables[x.shape[-1]]


class Scripted(nn.Module):
    """State that only TorchScript's own objects hold."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.calls = 0
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x):
        self.calls += 1
        y = self.norm(self.conv(x)).relu()
        self.mean = y.mean((0, 2, 3))
        return y + torch.ones(4, 1, 1) * self.calls


class Within(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1)
        self.second = nn.Sequential(torch.jit.script(Scripted().eval()), nn.ReLU())
        self.swish = scripted_swish()
        self.third = torch.jit.trace(nn.Conv2d(4, 2, 3), torch.zeros(1, 4, 9, 9))

    def forward(self, x):
        return self.third(self.swish(self.second(self.first(x))))


def _frozen():
    return torch.jit.freeze(torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()))


MODULES = {
    "Python's stores": Remembering,
    "tables by size": Tables,
    "scripted": lambda: torch.jit.script(Scripted().eval()),
    "a scripted layer": lambda: torch.jit.script(nn.Conv2d(3, 4, 3)),
    "frozen": _frozen,
    "traced": lambda: torch.jit.trace(nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 12, 12)),
    "scripted within": Within,
    "weight norm": lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)),
    "spectral norm": lambda: nn.utils.spectral_norm(nn.Conv2d(3, 4, 3)),
}


def made(kind, x, warm):
    torch.manual_seed(0)
    network = MODULES[kind]().eval()
    for size in (12, 10, 12) if warm else ():
        network(x[..., :size, :size])
    return network


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "after a run"])
@pytest.mark.parametrize("kind", MODULES)
def test_a_real_run_afterwards_gives_the_same_to_the_bit_and_nothing_fake_is_left(kind, warm):
    x = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    noise.cache_clear()
    noise(8), noise(10)
    network, control = made(kind, x, warm), made(kind, x, warm)
    parameters = [id(each) for each in network.parameters()]
    for training in (False, True):
        graph = record(network, (2, 3, 12, 12), training=training)
        assert graph.failure is None, graph.failure
        assert graph.operations
        record(network, (3, 10, 10), training=training)
    if not kind.startswith("frozen"):
        convlens.inspect(network, (2, 3, 12, 12)).training("sgd") if parameters else None
    assert not fakes()
    assert [id(each) for each in network.parameters()] == parameters
    assert LAST is None or type(LAST) is torch.Tensor
    for size in (12, 10, 12):
        given = x[..., :size, :size]
        assert torch.equal(network(given), control(given))
    assert not fakes()


def test_what_was_remembered_before_is_remembered_afterwards():
    network = Remembering().eval()
    network(torch.zeros(1, 3, 8, 8))
    remembered = noise(6), grid.cache_info(), list(network.plain.cache["deep"]["er"]), LAST
    record(network, (3, 8, 8))
    record(network, (3, 16, 16))
    assert noise(6) is remembered[0]
    assert grid.cache_info() == remembered[1]
    assert network.plain.cache["deep"]["er"] == remembered[2]
    assert LAST is remembered[3]
    assert not hasattr(network.conv.weight, "seen") or type(network.conv.weight.seen) is torch.Tensor


def test_scripted_modules_are_recorded_as_what_they_were_made_from():
    graph = record(Within(), (3, 12, 12))
    assert graph.modules["second.0"] == "Scripted"
    assert {each.kind for each in graph.operations} >= {"convolution", "native_batch_norm", "sigmoid"}
    weights = dict(Within().named_parameters())
    assert set(graph.parameters) == set(weights)


class Making(OrderedDict):
    """Gives an instance of the class that it holds, as a library's table of activations does."""

    def __getitem__(self, name):
        return super().__getitem__(name)()


class Odd(list):
    """Never tells what it holds."""

    def __iter__(self):
        return iter(())

    def clear(self):
        raise NotImplementedError


ACTIVATIONS = Making(relu=nn.ReLU, gelu=nn.GELU)


class Activated(nn.Module):
    def __init__(self):
        super().__init__()
        self.odd = Odd([1, 2])

    def forward(self, x):
        ACTIVATIONS["new"] = x
        list.append(self.odd, x)
        return ACTIVATIONS["relu"](x)


def test_containers_of_unusual_classes_are_as_they_were():
    network = Activated()
    record(network, (3, 8, 8))
    assert {name: dict.__getitem__(ACTIVATIONS, name) for name in ACTIVATIONS} == {"relu": nn.ReLU, "gelu": nn.GELU}
    assert list.__len__(network.odd) == 2
    assert not fakes()


class Failing(nn.Module):
    def forward(self, x):
        y = x * 2
        try:
            raise KeyError(y)
        except KeyError as error:
            raise ValueError("no such luck", y) from error


def test_the_error_of_a_failed_pass_holds_no_tensors():
    graph = record(Failing(), (3, 8, 8))
    assert isinstance(graph.failure.error, ValueError)
    assert not fakes()


class Result:
    def __init__(self, tensors):
        self.tensors, self.note = tensors, "as detectors hand them on"


class Opened(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Identity()

    def forward(self, x):
        return self.inner(Result([x + 1]))


def test_objects_that_modules_hand_on_are_opened():
    graph = record(Opened(), (3, 8, 8))
    assert graph.results == {"tensors": graph.calls[1].results["tensors"], "note": "as detectors hand them on"}
    assert len(graph.outputs) == 1
    assert not fakes()


class Endless(nn.Module):
    """A generator that is under way keeps what it was sent, and nothing can be taken out of it."""

    def __init__(self):
        super().__init__()
        self.running = self.averages()
        next(self.running)

    def averages(self):
        total = torch.zeros(1)
        while True:
            total = total + (yield total)

    def forward(self, x):
        return x + self.running.send(x.mean())


def test_a_store_that_cannot_be_undone_is_refused():
    with pytest.raises(ConvlensError, match="cannot be taken back"):
        record(Endless(), (3, 8, 8))


def test_files_that_import_each_other_are_walked_once():
    one, other = types.ModuleType("one_of_two"), types.ModuleType("other_of_two")
    one.other_of_two, other.one_of_two, other.kept = other, one, {}
    exec("def f(x):\n    other_of_two.kept[0] = one_of_two = x\n    return x + 1", vars(one))

    class Circular(nn.Module):
        forward = staticmethod(one.f)

    one.one_of_two = one
    assert record(Circular(), (3, 8, 8)).failure is None
    assert other.kept == {}
    assert not fakes()


def test_libraries_that_keep_no_tensors_are_not_walked():
    class Drawing(nn.Conv2d):
        def draw(self):
            return hypothesis.strategies.integers(), pytest.raises, matplotlib.pyplot.figure()

    assert len(Snapshot(Drawing(3, 4, 3))._undo) < 200  # thousands with what those libraries hold


def test_stores_that_gc_was_told_to_leave_alone_are_emptied():
    class Remembering(nn.Module):
        def forward(self, x):
            return grid(3, 3).sum() * x

    grid.cache_clear()
    gc.freeze()
    try:
        assert record(Remembering(), (3, 8, 8)).failure is None
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()
    assert not fakes()
