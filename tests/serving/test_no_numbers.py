"""A network that answers NaN: said, with status 500, and nobody else's request suffers."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from convlens.explaining import Explainer

from .conftest import field, png, wait_until


class Broken:
    """A predictor that answers NaN for images that are nearly white."""

    def __init__(self, predictor):
        self.predictor = predictor
        self.classes = predictor.classes
        self.preprocessing = predictor.preprocessing

    def probabilities(self, x_NCHW):
        p_NK = self.predictor.probabilities(x_NCHW).copy()
        p_NK[x_NCHW.reshape(len(x_NCHW), -1).min(axis=1) > 1.7] = np.nan
        return p_NK


def white():
    from io import BytesIO

    from PIL import Image

    file = BytesIO()
    Image.new("L", (8, 8), 255).save(file, "png")
    return file.getvalue()


def test_an_answer_that_is_no_number_is_a_failure_with_its_reason(serving, predictor):
    client = serving(Broken(predictor))
    reply = client.post("/predict", files=field(white()))
    assert reply.status_code == 500
    assert "the network gives no numbers (NaN) for 1 of 1 images" in reply.json()["error"]
    assert client.post("/predict", files=field(png(1))).status_code == 200


def test_the_images_of_others_in_the_same_batch_are_answered(serving, gated):
    gated.predictor = Broken(gated.predictor)
    client = serving(gated, batch=8, max_delay_ms=50)
    gated.gate.clear()
    with ThreadPoolExecutor(4) as pool:
        images = [png(1), white(), png(2), png(3)]
        waiting = [pool.submit(client.post, "/predict", files=field(image)) for image in images]
        wait_until(lambda: client.server.service.pipeline.held == 4)
        gated.gate.set()
        assert [reply.result().status_code for reply in waiting] == [200, 500, 200, 200]


def test_there_is_nothing_to_explain(serving, predictor):
    broken = Broken(predictor)
    client = serving(broken)
    client.server.service.heat._load = lambda: Explainer(broken, None)
    reply = client.post("/explain?method=occlusion", files=field(white()))
    assert reply.status_code == 500
    assert "gives no numbers (NaN)" in reply.json()["error"]
    assert client.post("/explain?method=occlusion", files=field(png(1))).status_code == 200
