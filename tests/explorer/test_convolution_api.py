"""What the convolution page asks for, without a browser: separate axes, and transposed convolutions in groups."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from convlens.explorer.app import create_app
from convlens.explorer.session import Session


def drawn(*shape):
    return np.random.default_rng(0).integers(-4, 5, shape)


def asked(example):
    async def ask():
        transport = httpx.ASGITransport(create_app(Session()))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.post("/api/convolution", json=example)

    with ThreadPoolExecutor(1) as pool:  # a browser of another test keeps an event loop in this thread
        return pool.submit(asyncio.run, ask()).result()


def outputs(**example):
    answer = asked(example)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution_is_torchs(groups):
    x, kernel = drawn(4, 3, 5), drawn(2, 4 // groups, 2, 3)  # a plane a filter and channel, as the page has them
    answer = outputs(
        operation="transposed", input=x.tolist(), kernel=kernel.reshape(-1, 2, 3).tolist(), filters=2,
        groups=groups, stride=[2, 1], padding=[0, 1], dilation=[1, 2], output_padding=[1, 0], bias=3,
    )  # fmt: skip
    grouped = torch.tensor(kernel).view(groups, 2 // groups, 4 // groups, 2, 3).transpose(1, 2)
    expected = F.conv_transpose2d(
        torch.tensor(x)[None].double(), grouped.reshape(4, 2 // groups, 2, 3).double(), torch.full((2,), 3.0).double(),
        (2, 1), (0, 1), (1, 0), groups, (1, 2),
    )[0]  # fmt: skip
    np.testing.assert_array_equal(answer["walk"]["output"], expected.numpy())
    assert [each["output"] for each in answer["sizes"]] == list(expected.shape[1:])
    assert answer["parameters"] == kernel.size + 2
    assert answer["macs"] == x[0].size * kernel.size


def test_axes_may_differ_and_one_number_is_both():
    x, kernel = drawn(1, 6, 7), drawn(1, 3, 2)
    both = outputs(input=x.tolist(), kernel=kernel.tolist(), stride=2, padding=1)
    assert both == outputs(input=x.tolist(), kernel=kernel.tolist(), stride=[2, 2], padding=[1, 1])
    apart = outputs(input=x.tolist(), kernel=kernel.tolist(), stride=[2, 1], padding=[0, 1])
    expected = F.conv2d(torch.tensor(x)[None].double(), torch.tensor(kernel)[None].double(), None, (2, 1), (0, 1))
    np.testing.assert_array_equal(apart["walk"]["output"], expected[0].numpy())


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ({"stride": 8, "operation": "transposed"}, "an output of 90×90 is too large to walk through"),
        ({"output_padding": 1, "operation": "transposed"}, "output_padding"),
        ({"stride": [1, 0]}, "stride"),
        ({"stride": [1, 1, 1]}, "stride"),
        ({"operation": "transpose"}, "transposed"),
    ],
)
def test_what_cannot_be_is_answered_in_words(example, message):
    answer = asked({"input": drawn(1, 12, 12).tolist(), "kernel": [[[1, 2], [3, 4]]], **example})
    assert answer.status_code in (400, 422)
    assert message in answer.text
    assert "\n" not in answer.text
