import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convlens.errors import ConvlensError
from convlens.images import ImageError, Preprocessing

IMAGENET = Preprocessing(
    size=(224, 224), resize=256, crop="center", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)


def plain(**how):
    channels = how.get("channels", 3)
    return Preprocessing(**{"mean": (0.0,) * channels, "std": (1.0,) * channels, **how})


@pytest.mark.parametrize("suffix", ["json", "yaml", "yml"])
@pytest.mark.parametrize("made", [IMAGENET, plain(size=(9, 7), resize=(9, 7), channels=1, antialias=False)])
def test_what_is_saved_is_loaded(tmp_path, suffix, made):
    made.save(tmp_path / f"preprocessing.{suffix}")
    assert Preprocessing.load(tmp_path / f"preprocessing.{suffix}") == made


def test_white_becomes_one_minus_mean_over_std():
    white = IMAGENET.apply(np.full((300, 500, 3), 255, np.uint8))
    assert white.shape == (3, 224, 224)
    assert white.dtype == np.float32
    expected = [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    np.testing.assert_allclose(white[:, 0, 0], expected, rtol=1e-6)


def test_channels_and_axes_stay_in_order():
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    values = plain(size=(2, 3)).apply(pixels)
    np.testing.assert_allclose(values, pixels.transpose(2, 0, 1) / np.float32(255), rtol=1e-7)


@given(height=st.integers(1, 60), width=st.integers(1, 60), side=st.integers(1, 40), channels=st.sampled_from([1, 3]))
def test_any_image_comes_out_at_the_size(height, width, side, channels):
    made = plain(size=(side, side + 3), resize=side, crop="center", channels=channels)
    assert made.apply(np.zeros((height, width, channels), np.uint8)).shape == (channels, side, side + 3)


def test_the_shorter_side_is_resized_and_the_middle_cropped():
    pixels = np.zeros((50, 200, 3), np.uint8)
    pixels[:, 75:125] = 255  # the middle 50 columns, so after the crop everything is white
    assert (plain(size=(50, 50), resize=50, crop="center").fit(pixels) == 255).all()
    assert plain(size=(20, 20), resize=25, crop="center").fit(pixels).shape == (20, 20, 3)


def test_what_a_crop_lacks_is_black():
    cropped = plain(size=(6, 6), crop="center").fit(np.full((2, 3, 3), 9, np.uint8))
    assert cropped.sum() == 2 * 3 * 3 * 9
    assert cropped[2:4, 1:4].sum() == cropped.sum()


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resizing_agrees_with_torch(interpolation, antialias):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    ours = plain(size=(15, 21), resize=(15, 21), interpolation=interpolation, antialias=antialias).fit(pixels)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(pixels).permute(2, 0, 1)[None].float(), (15, 21), mode=interpolation, antialias=antialias
    )
    difference = abs(ours.astype(float) - theirs[0].permute(1, 2, 0).clamp(0, 255).numpy())
    if interpolation == "bicubic" and not antialias:  # torch's kernel has another sharpness there (a = -0.75)
        assert difference.mean() < 12
    else:
        assert difference.max() <= 1.01


def test_nearest_takes_pixels_that_are_there():
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    halved = plain(size=(6, 8), resize=(6, 8), interpolation="nearest").fit(pixels)
    np.testing.assert_array_equal(halved, pixels[1::2, 1::2])


def test_open_decodes_a_large_jpeg_smaller_and_sees_the_same(tmp_path):
    y, x = np.mgrid[0:1200, 0:1600]
    waves = np.stack([127 + 120 * np.sin(x / 60), 127 + 120 * np.sin(y / 45), 127 + 120 * np.sin((x + y) / 80)], -1)
    Image.fromarray(waves.astype(np.uint8)).save(tmp_path / "large.jpg", quality=92)
    scaled, full = IMAGENET.open(tmp_path / "large.jpg"), IMAGENET.apply(waves.astype(np.uint8))
    assert abs(scaled - full).max() * 0.225 * 255 < 4


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"size": (8, 8), "resize": 10}, r"resize=10 without a crop does not give size=\(8, 8\); use crop='center'"),
        ({"size": (0, 8)}, r"size=\(0, 8\); give two whole numbers"),
        ({"size": (8, 10**6)}, r"size=\(8, 1000000\); use sides of at most 16,384"),
        ({"size": (8, 8), "resize": 10**6, "crop": "center"}, "use a shorter side of 1 to 16,384"),
        ({"size": (8,)}, r"size=\(8,\); give two whole numbers"),
        ({"size": (8, 8), "resize": 0, "crop": "center"}, "resize=0; use a shorter side of 1 to 16,384"),
        ({"size": (8, 8), "mean": (0.5,)}, r"mean=\(0.5,\); give one number a channel, 3"),
        ({"size": (8, 8), "std": (0.5, 0.0, 0.5)}, r"std=.*; every one must be above 0"),
        ({"size": (8, 8), "channels": 2}, "channels=2; use 3 for RGB or 1 for gray"),
        ({"size": (8, 8), "interpolation": "biliner"}, "unknown interpolation 'biliner'; did you mean bilinear"),
        ({"size": (8, 8), "crop": "left"}, "crop='left'; use 'center' or None"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_made(how, message):
    with pytest.raises(ConvlensError, match=message):
        Preprocessing(**{"mean": (0.0,) * 3, "std": (1.0,) * 3, **how})


def test_an_image_of_another_kind_is_refused():
    with pytest.raises(
        ImageError, match=r"the image is float64 \(8, 8, 3\); this preprocessing takes uint8 \(H, W, 3\)"
    ):
        plain(size=(8, 8)).apply(np.zeros((8, 8, 3)))
    with pytest.raises(ImageError, match="has 9 × 8 pixels and this preprocessing, which does not resize, takes 8 × 8"):
        plain(size=(8, 8)).apply(np.zeros((9, 8, 3), np.uint8))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size: [8, 8]\nmeen: [0]\n", "unknown preprocessing key 'meen'; did you mean mean"),
        ("size: [8, 8]\nmean: [0.5, 0.5, 0.5]\n", "std is missing"),
        ("[1, 2]\n", "holds no preprocessing"),
        ("size: [8, 8\n", "cannot be read"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path, text, message):
    (tmp_path / "preprocessing.yaml").write_text(text)
    with pytest.raises(ConvlensError, match=message):
        Preprocessing.load(tmp_path / "preprocessing.yaml")
    with pytest.raises(ConvlensError, match="cannot be opened: No such file"):
        Preprocessing.load(tmp_path / "nothing.yaml")
    with pytest.raises(ConvlensError, match=r"saved as \.json, \.yaml or \.yml"):
        IMAGENET.save(tmp_path / "preprocessing.txt")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": 32}, "size=32; give two whole numbers"),
        ({"size": (True, 3)}, "give two whole numbers"),
        ({"resize": "big", "crop": "center"}, "resize='big'; use a shorter side"),
        ({"resize": 40.5, "crop": "center"}, "resize=40.5; use a shorter side"),
        ({"mean": 0.5}, "mean=0.5; give one number a channel, 3"),
        ({"mean": None}, "mean=None; give one number a channel, 3"),
        ({"std": (float("nan"), 1.0, 1.0)}, "give one number a channel, 3"),
        ({"mean": ("a", 1.0, 1.0)}, "give one number a channel, 3"),
    ],
)
def test_values_of_the_wrong_kind_are_one_line(given, message):
    with pytest.raises(ConvlensError, match=message):
        plain(**{"size": (8, 8), **given})


def test_lists_are_as_good_as_tuples():
    assert plain(size=[8, 8], resize=[8, 8], mean=[0.0] * 3) == plain(size=(8, 8), resize=(8, 8))


def test_an_image_without_pixels_is_refused():
    with pytest.raises(ImageError, match=r"\(0, 5, 3\)"):
        IMAGENET.apply(np.zeros((0, 5, 3), np.uint8))


def test_a_strip_is_not_enlarged_to_terabytes():
    strip = np.zeros((1, 30_000, 3), np.uint8)
    how = Preprocessing(size=(224, 224), mean=(0.5,) * 3, std=(0.5,) * 3, resize=256, crop="center")
    with pytest.raises(ImageError, match=r"1 × 30000 pixels, 256 × 7,680,000 after the resize to 256; cut it"):
        how.apply(strip)
