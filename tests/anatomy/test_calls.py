"""Costs are counted where modules are called; calls are told one by one, and drawn with their shortcuts."""

from dataclasses import FrozenInstanceError
from xml.etree import ElementTree

import pytest
from torch import nn

import convlens
from convlens.anatomy import inspect
from convlens.anatomy.anatomy_figures import draw_network
from convlens.anatomy.calls import call_rows
from convlens.anatomy.drawing import boxes, branching_depth, draw_graph
from convlens.errors import ConvlensError


class Stage(nn.Module):
    def __init__(self, shared):
        super().__init__()
        self.own, self.shared = nn.Conv2d(4, 4, 3, padding=1), shared

    def forward(self, x):
        return self.shared(self.own(x))


class Sharing(nn.Module):
    """Two stages that share a convolution; a pool that is called on two sizes."""

    def __init__(self):
        super().__init__()
        shared = nn.Conv2d(4, 4, 1)
        self.one, self.two, self.pool = Stage(shared), Stage(shared), nn.MaxPool2d(2)

    def forward(self, x):
        return self.pool(self.two(self.pool(self.one(x))))


@pytest.fixture
def sheet():
    return inspect(Sharing(), (4, 16, 8))


def test_a_shared_module_costs_where_it_is_called(sheet):
    one, two = sheet.modules.find("one"), sheet.modules.find("two")
    assert one.macs == 16 * 8 * (4 * 36 + 16)
    assert two.macs == 8 * 4 * (4 * 36 + 16)
    assert sheet.modules.find("two.shared").macs == 8 * 4 * 16
    assert sheet.modules.find("two.shared").shared == 20
    assert one.macs + two.macs == sheet.macs == sheet.modules.macs
    assert one.parameters + two.parameters == sheet.parameters


def test_every_size_that_a_module_returns_is_shown(sheet):
    assert sheet.modules.find("pool").outputs == ((1, 4, 8, 4), (1, 4, 4, 2))
    assert "1×4×8×4, 1×4×4×2" in sheet.to_text()


def test_calls_in_execution_order(sheet):
    rows = call_rows(sheet)
    assert [row.path for row in rows] == [
        "",
        "one",
        "one.own",
        "one.shared",
        "pool",
        "two",
        "two.own",
        "two.shared",
        "pool",
    ]
    own, pool = rows[6], rows[8]
    assert (own.inputs, own.outputs, own.kernel, own.stride) == (((1, 4, 8, 4),), ((1, 4, 8, 4),), (3, 3), (1, 1))
    assert (pool.occurrence, pool.kernel, pool.stride, pool.dtype) == (1, (2, 2), (2, 2), "float32")
    assert sum(row.share for row in rows if row.depth == 1) == pytest.approx(1)


def test_an_anatomy_is_frozen(sheet):
    with pytest.raises(FrozenInstanceError):
        sheet.name = "another"
    assert inspect(Sharing(), (4, 16, 8), name="another").to_text().splitlines()[1].startswith("another")


def test_shortcuts_are_edges():
    sheet = inspect(convlens.create("resnet18"), (3, 64, 64))
    found = boxes(sheet, 3)
    numbers = {box.title: number for number, box in enumerate(found)}
    add = found[numbers["layer1.0.add_"]] if "layer1.0.add_" in numbers else found[numbers["layer1.0.add"]]
    assert {found[each].title for each in add.before} == {"maxpool", "layer1.0.bn2"}
    assert max(box.rank for box in found) > 40


@pytest.mark.parametrize("suffix", [".svg", ".dot"])
def test_the_drawing_has_every_box_and_edge(sheet, suffix, tmp_path):
    path = tmp_path / f"net{suffix}"
    draw_graph(sheet, path, depth=2)
    found = boxes(sheet, 2)
    text = path.read_text(encoding="utf-8")
    assert all(box.title in text for box in found)
    edges = sum(len(box.before) for box in found)
    assert text.count("->" if suffix == ".dot" else 'class="edge"') == edges == 6
    if suffix == ".svg":
        ElementTree.fromstring(text)
    with pytest.raises(ConvlensError, match=r"must end in \.svg or \.dot"):
        draw_graph(sheet, tmp_path / "net.bmp")


def test_pictures_go_so_deep_that_shortcuts_are_seen(tmp_path):
    block = Block()
    sheet = inspect(nn.Sequential(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), block)), (3, 8, 12))
    assert branching_depth(sheet) == 3
    assert branching_depth(inspect(block.one, (3, 8, 12))) == 1
    draw_network(sheet, tmp_path / "net.svg")
    drawn = (tmp_path / "net.svg").read_text("utf-8")
    assert all(label in drawn for label in ("0.1.two", "3×8×12"))  # matplotlib leaves what it draws as comments
    draw_graph(sheet, tmp_path / "graph.svg")
    assert "0.1.two" in (tmp_path / "graph.svg").read_text("utf-8")


class Block(nn.Module):
    """Two convolutions with a shortcut."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return x + self.two(self.one(x))
