"""What docs/shipping.md tells strangers to write gives what `predict` gives, on files that are hard to decode."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convlens

DOCS = Path(__file__).parents[2] / "docs" / "shipping.md"
BLOCKS = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


def block(beginning):
    (found,) = (text for text in BLOCKS if beginning in text)
    return found


def hard_files(folder):
    chance = np.random.default_rng(0)
    soft = Image.fromarray(chance.integers(0, 256, (6, 9, 3), np.uint8)).resize((90, 60), Image.Resampling.BICUBIC)
    alpha = Image.fromarray(chance.integers(0, 256, (6, 9), np.uint8)).resize((90, 60))
    for orientation in (3, 6, 8):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield soft, folder / f"turned{orientation}.jpg", {"exif": exif, "quality": 95}
    transparent = soft.copy()
    transparent.putalpha(alpha)
    yield transparent, folder / "transparent.png", {}
    yield transparent.convert("LA"), folder / "gray-transparent.png", {}
    yield soft.quantize(16), folder / "palette.png", {"transparency": 3}
    yield soft.quantize(16), folder / "palette.gif", {"transparency": 3}
    yield soft.convert("CMYK"), folder / "print.jpg", {"quality": 95}
    yield soft.convert("L"), folder / "gray.jpg", {"quality": 95}
    yield soft.convert("1"), folder / "bits.png", {}
    deep = np.asarray(soft.convert("L")).astype(np.uint16) * 257
    yield Image.fromarray(deep), folder / "deep.png", {}
    yield Image.fromarray(deep), folder / "deep.tif", {}
    yield soft, folder / "plain.webp", {"lossless": True}


WAYS = {"onnx": ("resnet18.onnx", "onnxruntime"), "openvino": ("resnet18.xml", "openvino.Core")}


@pytest.mark.parametrize("to", WAYS)
def test_a_stranger_gets_what_predict_gives(artifacts, tmp_path, to):
    named, begins = WAYS[to]
    pytest.importorskip("onnxruntime" if to == "onnx" else "openvino")
    names = {}
    exec(block("def decode"), names)
    exec(block(begins).replace(named, str(artifacts(to))), names)
    predictor = convlens.load(artifacts(to))
    for image, path, how in hard_files(tmp_path):
        image.save(path, **how)
        (answer,) = predictor.predict(path, top=10)
        assert answer.error is None
        found = names["classify"](path)
        expected = {guess.label: guess.probability for guess in answer.classes}
        assert found == pytest.approx(expected, abs=0.01), path.name


@pytest.mark.parametrize("image", [(40, 30), (30, 40), (64, 64), (20, 90), (10, 10)])
@pytest.mark.parametrize("crop", [{"resize": 36, "crop": "center"}, {"resize": (32, 32)}, {"crop": "center"}])
@pytest.mark.parametrize("channels", [1, 3])
def test_prepared_images_are_those_of_the_preprocessing(image, crop, channels):
    from convlens.images import Preprocessing

    how = Preprocessing(
        size=(32, 32),
        mean=(0.4,) * channels,
        std=(0.25,) * channels,
        interpolation="bicubic",
        channels=channels,
        **crop,
    )
    text = block("openvino.Core")
    names = {"np": np, "Image": Image, "how": how.to_dict()}
    exec(text[text.index("def prepare") : text.index("def classify")], names)
    pixels = np.random.default_rng(1).integers(0, 256, (*image, channels), np.uint8)
    np.testing.assert_allclose(names["prepare"](pixels), how.apply(pixels), atol=1e-5)
