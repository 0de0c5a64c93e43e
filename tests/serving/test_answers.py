"""What the server answers, over real HTTP."""

import base64
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from convlens.errors import ConvlensError
from convlens.predicting import predict_files
from convlens.serving.listening import bind
from convlens.serving.server_settings import Settings
from convlens.serving.worker_server import serve

from .conftest import CLASSES, Gated, field, png, wait_until


def test_the_answers_are_those_of_predict(serving, predictor, gated, tmp_path):
    images = [png(seed) for seed in range(60)]
    for number, content in enumerate(images):
        (tmp_path / f"{number:02}.png").write_bytes(content)
    offline = [prediction.to_dict() for prediction in predict_files(predictor, [tmp_path], batch=7)]

    client = serving(gated, batch=16)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda image: client.post("/predict", files=field(image)).json(), images))
    assert [answer["predictions"][0]["classes"] for answer in answers] == [row["classes"] for row in offline]


def test_images_that_arrive_together_share_a_pass(serving, gated):
    client = serving(gated, batch=8)
    gated.gate.clear()
    gated.sizes.clear()
    pipeline = client.server.service.pipeline
    with ThreadPoolExecutor(9) as pool:
        replies = [pool.submit(client.post, "/predict", files=field(png(seed))) for seed in range(9)]
        wait_until(lambda: pipeline.held == 9 and not pipeline.being_decoded)
        gated.gate.set()
        assert [reply.result().status_code for reply in replies] == [200] * 9
    assert max(gated.sizes) >= 4


def test_one_bad_image_fails_alone(serving):
    reply = serving().post("/predict?top=2", files=field(png(1), b"no image", png(2)))
    assert reply.status_code == 200
    good, bad, other = reply.json()["predictions"]
    assert [len(good["classes"]), len(other["classes"])] == [2, 2]
    assert bad == {"file": "1.png", "error": bad["error"]}
    assert "text file" in bad["error"]


def test_when_no_image_can_be_read_the_code_says_so(serving):
    reply = serving().post("/predict", files=field(b"no image", png(1)[:60]))
    assert reply.status_code == 400
    assert ["error" in prediction for prediction in reply.json()["predictions"]] == [True, True]


def test_json_gives_the_same_answer_as_multipart(serving):
    client = serving()
    image = png(3)
    content = base64.b64encode(image).decode()
    by_form = client.post("/predict", files=[("file", ("кошка.png", image))]).json()
    for text in (content, f"data:image/png;base64,{content}"):
        assert client.post("/predict", json={"files": [{"file": "кошка.png", "content": text}]}).json() == by_form
    assert by_form["predictions"][0]["file"] == "кошка.png"


def test_every_class_can_be_asked_for(serving):
    classes = serving().post("/predict?top=100", files=field(png(3))).json()["predictions"][0]["classes"]
    assert sorted(entry["label"] for entry in classes) == sorted(CLASSES)
    shares = [entry["probability"] for entry in classes]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=1e-3)


def test_half_a_surrogate_pair_in_a_name_is_no_fault(serving):
    content = base64.b64encode(png(3)).decode()
    body = '{"files": [{"file": "\\ud800.png", "content": "' + content + '"}]}'
    reply = serving().post("/predict", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 200
    assert reply.json()["predictions"][0]["file"] == "?.png"


def test_ready_only_once_the_network_is_warm(serving, gated):
    gated.gate.clear()
    client = serving(gated, wait=False)
    assert client.get("/health").status_code == 200
    for reply in (client.get("/ready"), client.get("/info"), client.post("/predict", files=field(png(1)))):
        assert reply.status_code == 503
        assert reply.headers["retry-after"] == "1"
    gated.gate.set()
    wait_until(lambda: client.get("/ready").status_code == 200)
    assert client.post("/predict", files=field(png(1))).status_code == 200


def test_info_says_what_answers(serving, predictor):
    info = serving().get("/info").json()
    assert info["classes"] == list(CLASSES)
    assert info["preprocessing"] == predictor.preprocessing.to_dict()
    assert info["network"] == "lenet5"
    assert info["batch"] == 8


def test_metrics_count_what_happened(serving):
    client = serving()
    client.post("/predict", files=field(png(1), png(2), b"no image"))
    client.post("/predict", content=b"x")
    lines = client.get("/metrics").text.splitlines()
    for line in (
        'convlens_requests_total{code="200",path="/predict"} 1.0',
        'convlens_requests_total{code="415",path="/predict"} 1.0',
        'convlens_images_total{outcome="answered"} 2.0',
        'convlens_images_total{outcome="unreadable"} 1.0',
        'convlens_request_seconds_count{path="/predict"} 2.0',
        "convlens_batch_images_sum 2.0",
        "convlens_decode_seconds_count 2.0",
        "convlens_queue_seconds_count 2.0",
        "convlens_queue_images 0.0",
        "convlens_requests_in_flight 1.0",  # this one
    ):
        assert line in lines


def test_a_fault_of_ours_is_a_500_and_the_server_lives_on(serving, predictor, capfd):
    class Faulty(Gated):
        broken = False

        def probabilities(self, x_NCHW):
            if self.broken:
                raise ZeroDivisionError
            return super().probabilities(x_NCHW)

    faulty = Faulty(predictor)
    client = serving(faulty)
    faulty.broken = True
    reply = client.post("/predict", files=field(png(1)))
    assert reply.status_code == 500
    assert "ZeroDivision" not in reply.text
    faulty.broken = False
    assert client.post("/predict", files=field(png(1))).status_code == 200


def test_a_request_keeps_its_id(serving):
    client = serving()
    assert client.get("/health", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert len(client.get("/health", headers={"x-request-id": "a b"}).headers["x-request-id"]) == 32
    assert client.get("/nothing", headers={"x-request-id": "abc-2"}).json()["request_id"] == "abc-2"


def test_a_network_that_cannot_be_loaded_stops_the_server():
    def load():
        raise ConvlensError("no such run")

    outcome = []

    def run():
        try:
            serve(Settings(log_level="error"), load, bind("127.0.0.1", 0))
        except ConvlensError as error:
            outcome.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert outcome == ["no such run"]


@pytest.mark.parametrize("path", ["/health", "/ready", "/info", "/metrics", "/docs", "/"])
def test_what_can_be_got_has_a_head(serving, path):
    client = serving()
    assert client.get(path).status_code == 200
    head = client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 0


def test_what_is_posted_has_no_head(serving):
    assert serving().head("/predict").status_code == 405
