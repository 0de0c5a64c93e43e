import contextlib
import copy
import threading
import time
from io import BytesIO

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from convlens import networks, runs
from convlens.explaining import Explainer
from convlens.images import Preprocessing
from convlens.predicting import torch_predictor
from convlens.runs.environment import versions
from convlens.runs.run_weights import save_weights
from convlens.serving.listening import bind
from convlens.serving.server_settings import Settings
from convlens.serving.service import Loaded
from convlens.serving.worker_server import make_server

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
GRAY = Preprocessing(size=(32, 32), resize=(32, 32), mean=(0.3,), std=(0.4,), channels=1)


class Gated:
    """A predictor that waits while its gate is closed."""

    def __init__(self, predictor):
        self.predictor = predictor
        self.classes = predictor.classes
        self.preprocessing = predictor.preprocessing
        self.gate = threading.Event()
        self.gate.set()
        self.sizes = []

    def probabilities(self, x_NCHW):
        assert self.gate.wait(30)
        self.sizes.append(len(x_NCHW))
        return self.predictor.probabilities(x_NCHW)


@pytest.fixture
def predictor():
    torch.manual_seed(7)
    network = networks.create("lenet5", classes=10)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.7)  # so that the answers are not all near one in ten
    return torch_predictor(network, CLASSES, GRAY, device="cpu")


@pytest.fixture
def gated(predictor):
    return Gated(predictor)


@pytest.fixture
def serving(predictor):
    """Give a function that serves a predictor in a thread, and gives a client of it."""
    with contextlib.ExitStack() as stack:

        def start(predictor=predictor, wait=True, **settings):
            return stack.enter_context(running(predictor, wait, **settings))

        yield start


@pytest.fixture
def run(tmp_path):
    description = runs.Description(
        name="digits",
        created="2026-11-24T06:00:00+00:00",
        network=runs.NetworkChoice(name="lenet5", classes=10, channels=1, size=(32, 32)),
        classes=CLASSES,
        preprocessing=GRAY,
        config={},
        data=runs.DataSummary(source="digits", fingerprint="abc", splits={"train": 8}),
        numerics={"precision": "float32"},
        versions=versions(),
    )
    folder = runs.create_folder(tmp_path, "digits", description)
    torch.manual_seed(7)
    network = folder.build_network()
    for which in ("best", "last"):
        save_weights(network.state_dict(), folder.weights_path(which))
    return folder.path


@contextlib.contextmanager
def running(predictor, wait=True, **settings):
    listener = bind("127.0.0.1", 0)
    host, port = listener.getsockname()
    settings = Settings(**{"batch": 8, "log_level": "error", **settings})
    plain = getattr(predictor, "predictor", predictor)
    network = getattr(getattr(getattr(plain, "engine", None), "module", None), "network", None)
    server = make_server(
        settings,
        lambda: Loaded(
            predictor=predictor,
            about={"network": "lenet5"},
            load_explainer=lambda: Explainer(plain, copy.deepcopy(network)),
        ),
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        with httpx.Client(base_url=f"http://{host}:{port}", timeout=30) as client:
            client.server = server
            client.address = (host, port)
            if wait:
                wait_until(lambda: client.get("/ready").status_code == 200)
            yield client
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def png(seed, size=(8, 8)):
    file = BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, size, np.uint8)).save(file, "png")
    return file.getvalue()


def field(*contents):
    return [("file", (f"{number}.png", content)) for number, content in enumerate(contents)]
