import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from convlens.data import Augmentation, Loader, open_dataset
from convlens.data.chance import uniforms
from convlens.data.colour import gray, jittered
from convlens.data.mixing import erased, mixed, mixing_generator
from convlens.data.pipeline import RANDOM_NUMBERS, augmented, normalized, shown
from convlens.data.policies import OPERATIONS, PIXEL_OPERATIONS, _matrix, _warped, with_policy
from convlens.data.warping import crop_box, flipped, resize_into, resized, shifted
from convlens.errors import ConvlensError
from convlens.images import Preprocessing

RGB = Preprocessing(size=(24, 32), resize=(24, 32), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))


def pixels(count=6, size=(24, 32), channels=3, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, *size, channels), np.uint8))


def smooth(count=4):
    """Pictures with structure: what is warped stays recognisable."""
    y, x = np.mgrid[0:24, 0:32]
    waves = [127 + 127 * np.sin(x / (3 + i) + y / (5 + c)) for i in range(count) for c in range(3)]
    return torch.from_numpy(np.stack(waves).reshape(count, 3, 24, 32).astype(np.float32) / 255)


def as_pillow(x_CHW):
    return Image.fromarray((x_CHW * 255).round().byte().permute(1, 2, 0).numpy())


EVERYTHING = Augmentation(
    shift=0.2, flip=True, policy="trivial", brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, erasing=0.5
)


@pytest.mark.parametrize(
    "augmentation", [EVERYTHING, Augmentation(policy="rand", rand_operations=3), Augmentation(flip=True)]
)
def test_a_sample_does_not_depend_on_its_batch(augmentation):
    batch, chances = pixels(), uniforms(0, 0, np.arange(6), RANDOM_NUMBERS)
    together = augmented(batch, RGB, augmentation, chances)
    for i in range(6):
        alone = augmented(batch[i : i + 1], RGB, augmentation, chances[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1 / 255 / 0.2 + 1e-6)
    assert together.is_contiguous(memory_format=torch.channels_last)
    assert together.dtype == torch.float32


def test_without_augmentation_it_is_the_preprocessing_to_the_bit():
    batch = pixels()
    expected = np.stack([RGB.apply(image) for image in batch.numpy()])
    np.testing.assert_array_equal(normalized(batch, RGB).numpy(), expected)
    np.testing.assert_array_equal(shown(normalized(batch, RGB), RGB), batch.numpy())


@given(
    height=st.integers(1, 500),
    width=st.integers(1, 500),
    low=st.floats(0.01, 1),
    numbers=st.lists(st.floats(0, 1, exclude_max=True), min_size=4, max_size=4),
)
def test_a_crop_lies_in_the_image(height, width, low, numbers):
    top, left, crop_height, crop_width = crop_box((height, width), Augmentation(crop_scale=(low, 1.0)), numbers)
    assert top >= 0
    assert left >= 0
    assert 1 <= crop_height <= height - top
    assert 1 <= crop_width <= width - left


def test_crops_have_the_asked_areas_and_ratios():
    augmentation = Augmentation(crop_scale=(0.25, 0.5))
    boxes = [crop_box((400, 400), augmentation, c) for c in uniforms(0, 0, np.arange(2000), 4)]
    areas = np.array([h * w / 160_000 for _, _, h, w in boxes])
    ratios = np.array([w / h for _, _, h, w in boxes])
    assert 0.24 < areas.min() < 0.27
    assert 0.48 < areas.max() < 0.51
    assert abs(areas.mean() - 0.375) < 0.01
    assert 0.74 < ratios.min() < ratios.max() < 1.35
    assert abs(np.log(ratios).mean()) < 0.01


def test_shifts_reach_as_far_as_asked_and_bring_in_black():
    ones = torch.full((500, 10, 20, 1), 9, dtype=torch.uint8)
    moved = shifted(ones, 0.2, uniforms(0, 0, np.arange(500), 2))
    black_rows = (moved.sum(dim=(2, 3)) == 0).sum(dim=1)
    black_columns = (moved.sum(dim=(1, 3)) == 0).sum(dim=1)
    assert (int(black_rows.min()), int(black_rows.max())) == (0, 2)
    assert (int(black_columns.min()), int(black_columns.max())) == (0, 4)
    picture = pixels(1)
    corner = shifted(picture, 0.25, np.array([[0.999, 0.0]]))  # the content goes up by 6 and right by 8
    np.testing.assert_array_equal(corner[0, :18, 8:], picture[0, 6:, :-8])


def test_half_are_mirrored():
    batch = pixels(400, (2, 3))
    mirrored = flipped(batch, uniforms(0, 0, np.arange(400), 1)[:, 0])
    turned = (mirrored == batch.flip(2)).flatten(1).all(dim=1)
    kept = (mirrored == batch).flatten(1).all(dim=1)
    assert (turned | kept).all()
    assert 160 < int(turned.sum()) < 240


def test_jitter_agrees_with_pillow_where_pillow_has_it():
    x = smooth(1) * 0.6 + 0.2  # away from the ends, where Pillow clips in between
    for name, column, enhance in (
        ("brightness", 0, ImageEnhance.Brightness),
        ("contrast", 1, ImageEnhance.Contrast),
        ("saturation", 2, ImageEnhance.Color),
    ):
        chances = np.full((1, 4), 0.5)
        chances[0, column] = 0.8  # a factor of 1 + 0.5 × 0.6
        ours = as_pillow(jittered(x, Augmentation(**{name: 0.5}), chances)[0])
        theirs = enhance(as_pillow(x[0])).enhance(1.3)
        assert abs(np.asarray(ours).astype(int) - np.asarray(theirs)).max() <= 3, name


@given(turn=st.floats(0, 1))
def test_a_turn_of_the_hue_keeps_the_luma_and_gray(turn):
    x = smooth(2) * 0.3 + 0.35
    chances = np.full((2, 4), 0.5)
    chances[:, 3] = turn
    turned = jittered(x, Augmentation(hue=0.5), chances)
    torch.testing.assert_close(gray(turned), gray(x), rtol=0, atol=2e-3)
    level = gray(x).expand(-1, 3, -1, -1)
    torch.testing.assert_close(jittered(level, Augmentation(hue=0.5), chances), level, rtol=0, atol=1e-5)


PILLOW = {
    "brightness": lambda image, s: ImageEnhance.Brightness(image).enhance(1 + 0.9 * s),
    "saturation": lambda image, s: ImageEnhance.Color(image).enhance(1 + 0.9 * s),
    "contrast": lambda image, s: ImageEnhance.Contrast(image).enhance(1 + 0.9 * s),
    "sharpness": lambda image, s: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * s),
    "posterize": lambda image, s: ImageOps.posterize(image, 8 - round(4 * abs(s))),
    "solarize": lambda image, s: ImageOps.solarize(image, math.ceil(255 * (1 - abs(s)))),
    "autocontrast": lambda image, s: ImageOps.autocontrast(image),
    "equalize": lambda image, s: ImageOps.equalize(image),
}


@pytest.mark.parametrize("strength", [-0.5, 0.3])
@pytest.mark.parametrize("name", PILLOW)
def test_operations_are_pillows(name, strength):
    x = (smooth(3) * 0.8 * 255).round() / 255
    amount = torch.full((3, 1, 1, 1), strength)
    ours = PIXEL_OPERATIONS[name](x, amount, False)
    for mine, image in zip(ours, x, strict=True):
        theirs = np.asarray(PILLOW[name](as_pillow(image), strength)).astype(int)
        assert abs(np.asarray(as_pillow(mine)).astype(int) - theirs).max() <= 2


def test_geometric_operations_move_the_picture_as_named():
    x = torch.zeros(1, 1, 21, 31)
    x[0, 0, 10, 15] = 1  # the middle

    def bright(name, signed):
        moved = _warped(x, torch.from_numpy(_matrix(name, signed, (21, 31), True, 135))[None].float())
        return tuple(int(i) for i in np.unravel_index(int(moved.argmax()), (21, 31)))

    assert bright("rotate", 0.7) == bright("shear_x", 0.5) == bright("shear_y", 0.5) == (10, 15)
    assert bright("translate_x", 0.5) == (10, 15 - round(0.5 * 0.45 * 31))
    assert bright("translate_y", -0.5) == (10 + round(0.5 * 0.45 * 21), 15)
    x = torch.zeros(1, 1, 21, 31)
    x[0, 0, 10, 20] = 1  # five to the right of it
    quarter = 90 / 135
    assert bright("rotate", quarter) in {(5, 15), (15, 15)}
    assert bright("rotate", -quarter) in {(5, 15), (15, 15)} - {bright("rotate", quarter)}


def test_every_operation_is_drawn_by_both_policies():
    x = smooth(1).expand(600, -1, -1, -1)
    for policy in ("trivial", "rand"):
        chances = uniforms(0, 0, np.arange(600), 30)
        chosen = np.floor(chances[:, 0] * len(OPERATIONS)).astype(int)
        assert set(chosen) == set(range(len(OPERATIONS)))
        changed = with_policy(x, Augmentation(policy=policy, rand_operations=1), chances)
        assert changed.min() >= 0
        assert changed.max() <= 1
        same = (changed == x).flatten(1).all(dim=1)
        assert same[chosen == 0].all()
        assert not same[chosen == OPERATIONS.index("rotate")].all()


def test_where_up_tells_classes_apart_nothing_is_turned_further_than_30_degrees():
    x = torch.zeros(200, 1, 41, 41)
    x[:, 0, 20, 30:38] = 1  # a bar from the middle to the right
    rotate = np.full(200, (OPERATIONS.index("rotate") + 0.5) / len(OPERATIONS))
    chances = np.stack([rotate, *uniforms(0, 0, np.arange(200), 2).T], axis=1)

    def furthest(upright):
        turned = with_policy(x, Augmentation(policy="trivial", upright=upright), chances)[:, 0]
        place = torch.arange(41.0) - 20
        rows, columns = (turned.sum(dim=2) * place).sum(dim=1), (turned.sum(dim=1) * place).sum(dim=1)
        return math.degrees(float(torch.atan2(rows, columns).abs().max()))

    assert 28 < furthest(True) < 31
    assert 128 < furthest(False) < 136


def test_erasing_blanks_the_asked_share_of_images_and_of_the_area():
    x = torch.ones(1000, 3, 40, 40)
    blanked = (erased(x, 0.25, uniforms(0, 0, np.arange(1000), 5)) == 0).all(dim=1).float().mean(dim=(1, 2))
    touched = blanked[blanked > 0]
    assert 200 < len(touched) < 300
    assert 0.01 < touched.min() < 0.05
    assert 0.25 < touched.max() < 0.4


@pytest.mark.parametrize("how", [{"mixup": 0.5}, {"cutmix": 1.0}, {"mixup": 0.2, "cutmix": 1.0}])
def test_labels_are_mixed_as_the_pixels_are(how):
    labels = torch.arange(8) % 4
    x = labels[:, None, None, None].float().expand(8, 1, 10, 10)  # every pixel says its class
    for step in range(10):
        images, soft = mixed(x, labels, 4, Augmentation(**how), mixing_generator(0, 0, step))
        assert images.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(soft.sum(dim=1), torch.ones(8))
        expected = (soft * torch.arange(4.0)).sum(dim=1)
        torch.testing.assert_close(images.mean(dim=(1, 2, 3)), expected, rtol=0, atol=1e-5)
    assert torch.equal(mixed(x, labels, 4, Augmentation(**how), mixing_generator(0, 0, 9)).soft_labels, soft)


def test_the_loader_gives_soft_labels_that_follow_the_step():
    digits = open_dataset("digits")
    gray8 = Preprocessing(size=(8, 8), mean=(0.5,), std=(0.5,), channels=1)
    loader = Loader(digits, "train", gray8, batch_size=64, augmentation=Augmentation(mixup=0.2, cutmix=1.0))
    whole = list(loader.epoch(3))
    late = list(loader.epoch(3, start_step=15))
    assert whole[0].soft_labels.shape == (64, 10)
    for a, b in zip(whole[15:], late, strict=True):
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.soft_labels, b.soft_labels)
    assert loader.preview(16).shape == (16, 8, 8, 1)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"shift": 1.5}, "shift is 1.5; use 0 to 0.99"),
        ({"crop_scale": (0.5, 0.2)}, r"crop_scale is \(0.5, 0.2\); use two numbers above 0, the smaller one first"),
        ({"crop_scale": (0.5, 2.0)}, "a crop keeps at most 1.0 of the area"),
        ({"policy": "trivail"}, "unknown augmentation policy 'trivail'; did you mean trivial"),
        ({"hue": 0.7}, "hue is 0.7; use 0 to 0.5"),
        ({"mixup": -1}, "mixup is -1; use 0 to 100"),
    ],
)
def test_values_out_of_range_are_refused(how, message):
    with pytest.raises(ConvlensError, match=message):
        Augmentation(**how)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(9, 14), (16, 12), (40, 31)])
def test_resizing_in_place_is_torchs_resize_and_mirrors(channels, shape):
    image = np.random.default_rng(0).integers(0, 256, (50, 60, channels), np.uint8)[3 : 3 + shape[0], 5 : 5 + shape[1]]
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(pixels, (16, 12), mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    batch = torch.zeros((3, 16, 12, channels), dtype=torch.uint8)
    resize_into(batch[1], image)
    assert torch.equal(batch[1], expected)
    assert torch.equal(resized(image, (16, 12)), expected)
    resize_into(batch[1], image, mirror=True)
    assert torch.equal(batch[1], expected.flip(1))
    assert not batch[[0, 2]].any()  # its neighbours are left alone
