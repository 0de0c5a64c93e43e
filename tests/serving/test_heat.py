"""POST /explain: the heat of one image."""

import numpy as np
import pytest

from convlens import images

from .conftest import Gated, field, png


def test_the_heat_is_a_picture(serving):
    client = serving()
    reply = client.post("/explain", files=field(png(3)))
    assert (reply.status_code, reply.headers["content-type"]) == (200, "image/png")
    picture = images.read(reply.content)
    assert picture.shape == (224, 224, 3)
    assert np.ptp(picture, axis=2).max() > 30  # it has colours, and the image has none


def test_another_class_or_method_gives_another_picture(serving):
    client = serving()
    asked = ("", "?target=one", "?target=seven", "?method=occlusion", "?method=integrated-gradients&target=one")
    pictures = {query: client.post(f"/explain{query}", files=field(png(3))).content for query in asked}
    assert pictures["?target=one"] != pictures["?target=seven"]
    assert len(set(pictures.values())) >= 4


def test_a_plus_in_an_address_stays_one(serving):
    client = serving()
    asked = ("?method=gradcam++", "?method=gradcam%2B%2B")
    plain, escaped = (client.post(f"/explain{query}", files=field(png(3))) for query in asked)
    assert plain.status_code == 200
    assert plain.content == escaped.content


@pytest.mark.parametrize(
    ("query", "content", "message"),
    [
        ("?target=eleven", None, "unknown class 'eleven'; did you mean seven"),
        ("?method=grad-cam", None, "unknown method 'grad-cam'; did you mean gradcam"),
        ("", b"no image", "text file"),
    ],
)
def test_what_is_wrong_is_said(serving, query, content, message):
    reply = serving().post(f"/explain{query}", files=field(content or png(3)))
    assert reply.status_code == 400
    assert message in reply.json()["error"]


def test_one_image_at_a_time(serving):
    assert serving().post("/explain", files=field(png(1), png(2))).status_code == 413


def test_answers_go_on_while_images_are_explained(serving, predictor):
    gated = Gated(predictor)
    client = serving(gated)
    heat = client.server.service.heat
    heat._thread.submit(lambda: gated.gate.wait(20))
    gated.gate.clear()
    heat._waiting = 8
    assert client.post("/explain", files=field(png(1))).status_code == 429
    heat._waiting = 0
    gated.gate.set()
    assert client.post("/predict", files=field(png(1))).status_code == 200
    assert client.post("/explain", files=field(png(1))).status_code == 200
