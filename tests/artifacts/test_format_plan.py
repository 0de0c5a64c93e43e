"""A plan file: proved as every format is, run without PyTorch, and refused when it is damaged."""

import subprocess
import sys

import numpy as np
import pytest

import convlens
from convlens.errors import ConvlensError

pytest.importorskip("convlens_kernels")


def test_a_run_answers_alike_from_its_plan(run, artifacts, x_nchw):
    predictor = convlens.load(artifacts("plan"))
    assert predictor.runtime == "engine"
    expected = run.predictor(device="cpu").probabilities(x_nchw)
    np.testing.assert_allclose(predictor.probabilities(x_nchw), expected, atol=1e-5)


def test_a_runtime_like_the_others(run, x_nchw):
    predictor = convlens.load(run.path, runtime="engine")
    expected = run.predictor(device="cpu").probabilities(x_nchw)
    np.testing.assert_allclose(predictor.probabilities(x_nchw), expected, atol=1e-5)


def test_without_pytorch_and_without_convlens(artifacts, digits, tmp_path):
    from PIL import Image

    Image.fromarray(digits[0][..., 0]).save(tmp_path / "digit.png")
    code = (
        "import sys, convlens_kernels\n"
        "answer = convlens_kernels.load(sys.argv[1]).predict([sys.argv[2]])[0]\n"
        "assert not {'torch', 'convlens', 'onnxruntime'} & set(sys.modules)\n"
        "print(answer.label)"
    )
    words = [sys.executable, "-c", code, str(artifacts("plan")), str(tmp_path / "digit.png")]
    label = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    assert label == convlens.load(artifacts("plan")).predict(tmp_path / "digit.png")[0].classes[0].label


@pytest.mark.parametrize("place", [3, 70, -100])
def test_one_changed_byte_is_noticed(artifacts, tmp_path, place):
    content = bytearray(artifacts("plan").read_bytes())
    content[place] ^= 1
    (tmp_path / "changed.plan").write_bytes(content)
    with pytest.raises(ConvlensError, match=r"changed\.plan"):
        convlens.load(tmp_path / "changed.plan")
