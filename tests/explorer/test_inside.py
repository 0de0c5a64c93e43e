"""Inside a network: the graph runs as the module does, a unit's arithmetic gives its number again, and the page."""

import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import torch
from playwright.sync_api import expect

from convlens import networks
from convlens.anatomy import inspect
from convlens.errors import ConvlensError
from convlens.explorer.inside import Clinic, best, prepared, softmax
from convlens.explorer.shelf import ImageShelf
from convlens.explorer.unit import Unit, described, share_of
from convlens.graph import execute


@pytest.fixture(scope="module")
def clinic() -> Clinic:
    return Clinic(ImageShelf(), None)


@pytest.mark.parametrize("name", ["lenet5", "lenet5_1998", "resnet20", "alexnet_2012", "googlenet", "efficientnet_b0"])
def test_running_the_graph_is_running_the_network(name):
    card = networks.card(name)
    network = networks.create(name).eval()
    side = max(64, *card.smallest_size) if name not in ("lenet5", "lenet5_1998") else 32
    graph = inspect(network, (card.channels, side, side)).graph
    x = torch.randn(1, card.channels, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(x)
    assert torch.equal(execute(network, graph, x, graph.outputs)[graph.outputs[0]], expected)


def test_what_a_layer_gave_is_kept_although_it_was_overwritten():
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(inplace=True)).eval()
    graph = inspect(network, (1, 6, 6)).graph
    x = torch.randn(1, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    before = graph.operations[0].outputs[0]
    kept = execute(network, graph, x, {before})[before]
    assert torch.equal(kept, network[0](x))
    assert kept.min() < 0


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "efficientnet_b0"])
def test_a_units_arithmetic_gives_its_number_to_rounding(clinic, name):
    """Every layer, at a drawn unit: what is written out differs from the tensor by no more than float32 rounds."""
    chance = np.random.default_rng(0)
    look = clinic.look(name, "temple")
    for place, node in look.patient.nodes.items():
        if place == "input":
            continue
        found = described(Unit(look, place, tuple(int(chance.integers(side)) for side in node.shape)))
        assert found["stages"], place
        assert all(stage["kind"] != "other" for stage in found["stages"]), place
        assert found["difference"] <= found["allowed"], place
        assert found["allowed"] <= 1e-3 * max(1.0, abs(found["value"])), place


def test_many_requests_at_once_do_no_harm(address, run_name):
    """Recording a network puts stand-ins in place of its weights; no other request may meet them."""
    asked = [
        f"{address}/api/inside/{what}"
        for what in ("why", "filters", "maps?layer=c3", "unit?layer=c3&channel=1", "share?layer=c3&channel=1&source=0")
    ]
    queries = [f"{url}{'&' if '?' in url else '?'}network={run_name}&picture=temple" for url in asked * 6]
    queries += [f"{address}/api/networks/{run_name}?side={side}" for side in (32, 32, 32)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda query: httpx.get(query, timeout=60), queries))
    assert {answer.status_code for answer in answers} == {200}


def test_a_picture_is_prepared_as_its_file_would_be(clinic, tmp_path):
    from PIL import Image

    patient = clinic.patient("lenet5")
    pixels = ImageShelf().get("flower").pixels
    Image.fromarray(pixels).save(tmp_path / "flower.png")
    assert np.array_equal(prepared(patient, pixels)[0].numpy(), patient.preprocessing.open(tmp_path / "flower.png"))


def test_what_is_not_there_is_said(clinic):
    look = clinic.look("lenet5", "digit")
    with pytest.raises(ConvlensError, match="unknown layer 'c2'"):
        look.output("c2")
    with pytest.raises(ConvlensError, match="channel 6 is outside the layer's 6×28×28"):
        Unit(look, "c1", (6, 0, 0))


@pytest.mark.browser
def test_a_run_is_looked_into(visit, run_name):
    page = visit("/inside?panel=answer")
    assert page.get_by_label("Network", exact=True).input_value() == run_name
    assert page.locator(".bars .bar-label").first.inner_text() == "0"
    expect(page.get_by_text("Trained weights", exact=False).first).to_contain_text("classes", use_inner_text=True)
    expect(page.locator(".column:not(.outputs)")).to_have_count(8)


@pytest.mark.browser
def test_a_unit_is_chosen_and_written_out(visit):
    page = visit("/inside?layer=c3&channel=4&row=3&column=7&panel=unit")
    expect(page.locator(".unit-card h2")).to_contain_text("c3: channel 4, row 3, column 7", use_inner_text=True)
    assert "good" in page.locator(".verdict").get_attribute("class")
    expect(page.locator(".stage-item")).to_have_count(2)
    page.get_by_role("button", name="Maps", exact=True).click()
    expect(page.locator(".maps .map")).to_have_count(16)
    page.locator("canvas.map-large").focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_url(re.compile("row=4"))
    page.get_by_role("button", name="channel 9", exact=True).click()
    page.wait_for_url(re.compile("channel=9"))
    page.get_by_role("button", name="One unit").click()
    page.get_by_text(re.compile("^c3: channel 9")).wait_for()


@pytest.mark.browser
def test_the_sum_of_all_channels_is_the_result_to_its_last_digit(visit):
    for channel in range(4):
        page = visit(f"/inside?network=resnet20&layer=layer1.0.conv2&channel={channel}&panel=unit")
        page.get_by_text(re.compile(f"^layer1.0.conv2: channel {channel}")).wait_for()
        total, result = re.search(r": (\S+) = (\S+)$", page.locator(".written").first.inner_text()).groups()
        assert total == result


@pytest.mark.browser
def test_the_images_that_a_channel_answers_to(visit):
    page = visit("/inside?layer=c3&channel=2&panel=images")
    page.get_by_role("button", name="Find them").click()
    page.locator(".favourites figure").nth(8).wait_for()
    captions = page.locator(".favourites figcaption").all_inner_texts()
    values = [float(text.split("·")[1].replace("−", "-")) for text in captions]
    assert values == sorted(values, reverse=True)
    assert re.search(r"among \d+ of \d+ training images", page.locator("#content").inner_text())


def test_a_network_that_does_not_do_the_same_twice_is_refused():
    class Fickle(torch.nn.Module):
        adds = False

        def forward(self, x):
            return x + 2 if self.adds else x * 2

    network = Fickle().eval()
    graph = inspect(network, (1, 4, 4)).graph
    network.adds = True
    with pytest.raises(ConvlensError, match="does not do the same twice"):
        execute(network, graph, torch.zeros(1, 1, 4, 4), graph.outputs)


def test_softmax_written_out_is_the_prediction(clinic):
    look = clinic.look("lenet5", "digit")
    written = softmax(look)
    shares = [row["power"] / written["sum"] for row in written["rows"]]
    assert shares == pytest.approx([each["probability"] for each in best(look, 10)], rel=1e-5)
    assert sum(shares) == pytest.approx(1)


def test_the_shares_of_all_input_channels_make_the_map(clinic):
    """The intermediate maps of a convolution and its bias add up to what the layer computes before the activation."""
    look = clinic.look("lenet5", "temple")
    weight = look.patient.network.get_parameter("c3.weight")
    bias = look.patient.network.get_parameter("c3.bias")[4].item()
    total = sum(share_of(look, "c3", 4, source)["share"] for source in range(weight.shape[1])) + bias
    assert np.maximum(total, 0) == pytest.approx(look.output("c3")[4].numpy(), abs=1e-5)


@pytest.mark.browser
def test_a_unit_behind_a_flattening_names_its_inputs(visit):
    """What CNN Explainer shows: a channel's share, flattening, softmax."""
    page = visit("/inside?layer=c5&channel=7&open=yes&panel=unit")
    assert re.match(r"input \d+: channel \d+, row \d+, column \d+", page.locator(".patch-name").inner_text())
    expect(page.locator(".unfolded-inputs li")).to_have_count(12)
    page.get_by_role("button", name="Answer").click()
    expect(page.locator(".softmax tbody tr")).to_have_count(10)
    page = visit("/inside?layer=c3&panel=unit")
    page.locator(".share-maps canvas").nth(1).wait_for()
    bars = page.get_by_role("slider", name="What each input channel adds")
    bars.focus()
    before = bars.get_attribute("aria-valuenow")
    page.keyboard.press("ArrowRight" if before == "0" else "ArrowLeft")
    assert bars.get_attribute("aria-valuenow") != before


@pytest.mark.browser
def test_a_layer_that_the_network_lacks_is_said(visit):
    page = visit("/inside?layer=c9")
    expect(page.locator("#notices")).to_contain_text("has no layer c9", use_inner_text=True)


@pytest.mark.browser
@pytest.mark.parametrize("method", ["gradcam", "occlusion"])
def test_heat_lies_where_the_network_saw_its_answer(visit, method):
    page = visit(f"/inside?method={method}&panel=why")
    told = page.get_by_text("What counted for 0")
    told.wait_for()
    assert ("read at" in told.inner_text()) == (method == "gradcam")
    alphas = page.locator("canvas.heat").evaluate(
        """canvas => {
          const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          return [...pixels].filter((_, index) => index % 4 === 3);
        }"""
    )
    assert len(alphas) == 32 * 32
    assert max(alphas) > 150
    assert min(alphas) < 30
    page.get_by_label("Class").select_option("9")
    page.get_by_text("What counted for 9").wait_for()
