import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from convlens.predicting import Guess
from convlens.serving.dynamic_batching import Batcher
from convlens.serving.uploads import Upload


class Network:
    """Stands for a settled predictor: notes its batches, and waits while its gate is closed."""

    def __init__(self, seconds=0.0):
        self.sizes = []
        self.seconds = seconds
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Semaphore(0)

    def guesses(self, x_NCHW, top):
        self.sizes.append(len(x_NCHW))
        self.began.release()
        assert self.gate.wait(20)
        time.sleep(self.seconds)
        return [(Guess(str(int(x[0, 0, 0])), 1.0),) * top for x in x_NCHW]


@pytest.fixture
def made():
    batchers = []

    def make(network, batch=4, max_delay_s=20.0, under_way=lambda: 0):
        answered = []
        batchers.append(
            Batcher(
                network,
                batch=batch,
                max_delay_s=max_delay_s,
                under_way=under_way,
                on_answers=lambda jobs, answers: answered.extend(zip(jobs, answers, strict=True)),
                on_batch=lambda images, seconds: None,
            )
        )
        return batchers[-1], answered

    yield make
    for batcher in batchers:
        batcher.close()


def job(number, *, abandoned=False, top=1):
    ticket = SimpleNamespace(abandoned=abandoned, top=top)
    return SimpleNamespace(ticket=ticket, upload=Upload(f"{number}", b""), x_CHW=np.full((1, 2, 2), number, np.float32))


def test_a_lone_image_waits_for_nobody(made):
    network = Network()
    batcher, _ = made(network)
    for number in range(3):
        batcher.submit(job(number))
        assert network.began.acquire(timeout=5)
    assert network.sizes == [1, 1, 1]


def test_images_that_come_while_the_network_is_busy_share_the_next_pass_up_to_the_limit(made):
    network = Network()
    network.gate.clear()
    batcher, answered = made(network)
    batcher.submit(job(0))
    assert network.began.acquire(timeout=5)
    for number in range(1, 7):
        batcher.submit(job(number, top=number))
    network.gate.set()
    batcher.close()
    assert network.sizes == [1, 4, 2]
    for done, answer in answered:
        number = int(done.upload.name)
        assert [entry["label"] for entry in answer["classes"]] == [str(number)] * max(1, number)


def test_an_image_waits_for_one_that_is_being_decoded(made):
    network = Network(seconds=0.3)
    batcher, _ = made(network, under_way=lambda: 1, batch=2)
    batcher.submit(job(0))
    assert network.began.acquire(timeout=5)
    batcher.submit(job(1))
    time.sleep(0.4)
    batcher.submit(job(2))
    batcher.close()
    assert network.sizes == [1, 2]


def test_what_nobody_waits_for_is_not_computed(made):
    network = Network()
    network.gate.clear()
    batcher, answered = made(network)
    batcher.submit(job(0))
    assert network.began.acquire(timeout=5)
    batcher.submit(job(1, abandoned=True))
    batcher.submit(job(2))
    network.gate.set()
    batcher.close()
    assert network.sizes == [1, 1]
    assert len(answered) == 3


def test_a_fault_reaches_every_image_of_the_batch_and_the_next_batch_is_computed(made):
    class Broken(Network):
        def guesses(self, x_NCHW, top):
            if x_NCHW.max() == 1:
                raise ZeroDivisionError
            return super().guesses(x_NCHW, top)

    batcher, answered = made(Broken())
    for number in range(3):
        batcher.submit(job(number))
        while len(answered) <= number:
            time.sleep(0.001)
    assert [type(answer).__name__ for _, answer in answered] == ["dict", "ZeroDivisionError", "dict"]
