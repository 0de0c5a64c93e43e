import json

import numpy as np
import pytest
from drawn import draw
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from convlens import images
from convlens.cli.main import main
from convlens.data import open_dataset
from convlens.data.dataset import Record
from convlens.data.exclusions import read_exclusions
from convlens.data.facts import Facts, facts_of
from convlens.data.findings import KINDS, check
from convlens.data.neighbours import NEAR_BITS, Neighbours
from convlens.data.opening import survey


def scene(seed, height=96, width=128):
    """A drawn picture with shapes, as unlike others as photographs are."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.full((height, width, 3), generator.integers(30, 226, 3), np.float64)
    for _ in range(12):
        top, left = generator.uniform(0, height), generator.uniform(0, width)
        inside = ((y - top) / generator.uniform(5, 40)) ** 2 + ((x - left) / generator.uniform(5, 40)) ** 2 < 1
        pixels[inside] = generator.integers(0, 256, 3)
    return Image.fromarray((pixels + generator.normal(0, 4, pixels.shape)).clip(0, 255).astype(np.uint8))


def save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    for split, first in (("train", 0), ("val", 300), ("test", 100)):
        for i in range(6):
            save(scene(first + i), root / split / "cat" / f"{i}.png")
            save(scene(first + 50 + i), root / split / "dog" / f"{i}.png")
    return root


def found(root, **how):
    result = check(survey(root, **how))
    return {kind: [f.keys for f in result.of(kind)] for kind in KINDS if result.of(kind)}, result


def test_a_clean_set_has_nothing_to_complain_about(photos):
    kinds, result = found(photos)
    assert kinds == {}
    assert result.images == 36
    assert result.errors == 0


def test_leakage_between_splits_is_found_by_content_and_by_eye(photos):
    (photos / "test" / "cat" / "x.png").write_bytes((photos / "train" / "cat" / "1.png").read_bytes())
    save(scene(52).resize((100, 75)), photos / "test" / "dog" / "y.jpg", quality=70)
    kinds, result = found(photos)
    assert kinds == {
        "leakage": [("test/cat/x.png", "train/cat/1.png")],
        "near_leakage": [("test/dog/y.jpg", "train/dog/2.png")],
    }
    assert result.exclusions() == [
        ("train/cat/1.png", "leakage of test/cat/x.png"),
        ("train/dog/2.png", "near_leakage of test/dog/y.jpg"),
    ]


def test_contradictions_and_repetitions(photos):
    save(scene(3), photos / "train" / "dog" / "same.png")
    save(scene(4), photos / "train" / "cat" / "again.png")
    save(scene(55).resize((100, 75)), photos / "train" / "dog" / "nearly.png")
    kinds, result = found(photos)
    assert kinds["contradiction"] == [("train/cat/3.png", "train/dog/same.png")]
    assert kinds["duplicate"] == [("train/cat/4.png", "train/cat/again.png")]
    assert kinds["near_duplicate"] == [("train/dog/5.png", "train/dog/nearly.png")]
    assert [key for key, _ in result.exclusions()] == [
        "train/cat/3.png",
        "train/cat/again.png",
        "train/dog/nearly.png",
        "train/dog/same.png",
    ]


def test_each_odd_image_is_named_by_what_is_odd(photos):
    cat = photos / "train" / "cat"
    (cat / "text.jpg").write_text("no image")
    (cat / "half.png").write_bytes((cat / "0.png").read_bytes()[:3000])
    save(scene(201), cat / "animated.gif", save_all=True, append_images=[scene(202)])
    save(scene(203).convert("CMYK"), cat / "cmyk.jpg", quality=95)
    sixteen = np.asarray(scene(204).convert("L")).astype(np.uint16) * 257
    save(Image.fromarray(sixteen), cat / "sixteen_bit.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    save(scene(205), cat / "rotated.jpg", exif=exif, quality=95)
    save(scene(206).resize((20, 30)), cat / "tiny.png")
    save(scene(207, 64, 400), cat / "odd_aspect.png")
    save(Image.new("RGB", (128, 96), (90, 120, 30)), cat / "uniform.png")
    save(scene(208).resize((9, 7)).resize((512, 384), Image.Resampling.BICUBIC), cat / "blurry.png")
    page = Image.new("RGB", (400, 300), "silver")
    page.paste(scene(214, 48, 48), (150, 90))
    save(page, cat / "low_information.png")
    save(scene(209).point(lambda v: v * 0.1), cat / "dark.png")
    save(scene(210).point(lambda v: 235 + v * 0.08), cat / "bright.png")
    save(scene(211).convert("L"), cat / "colourless.png")
    save(scene(212, 2000, 2000), cat / "odd_size.png")
    kinds, result = found(photos)
    assert kinds.pop("unreadable") == [("train/cat/half.png",), ("train/cat/text.jpg",)]
    for kind in (
        "animated",
        "cmyk",
        "sixteen_bit",
        "rotated",
        "tiny",
        "odd_aspect",
        "uniform",
        "low_information",
        "blurry",
        "dark",
        "bright",
    ):
        named = [keys[0].split("/")[-1].split(".")[0] for keys in kinds.pop(kind)]
        assert named == [kind], kind
    assert {keys[0] for keys in kinds["colourless"]} >= {"train/cat/colourless.png"}
    assert ("train/cat/odd_size.png",) in kinds["odd_size"]
    assert "text file" in result.of("unreadable")[1].detail


def test_what_is_out_of_focus_is_blurry_whatever_its_format_and_what_is_soft_is_not(tmp_path):
    for name, radius in (("sharp", 0), ("soft", 1), ("out of focus", 9)):
        for suffix in ("jpg", "png"):
            for seed in (0, 2, 3, 4):
                image = scene(seed, 300, 400).filter(ImageFilter.GaussianBlur(radius))
                save(image, tmp_path / name / f"{seed}.{suffix}")
    result = check(survey(tmp_path))
    assert {f.keys[0].split("/")[0] for f in result.of("blurry")} == {"out of focus"}
    assert len(result.of("blurry")) == 8


def test_an_animation_whose_second_frame_is_broken_is_read_by_its_first(photos):
    save(scene(1), photos / "train" / "cat" / "cut.gif", save_all=True, append_images=[scene(2), scene(3)])
    path = photos / "train" / "cat" / "cut.gif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    _, result = found(photos)
    assert not result.of("unreadable")


def test_classes_are_checked_as_well(photos):
    for i in range(70):
        draw(photos / "train" / "Cat" / f"{i}.png", seed=i, size=(40, 40))
    _, result = found(photos)
    assert result.of("name_clash")[0].detail.startswith(
        "'Cat' of train and 'cat' of train/val/test differ only in case"
    )
    assert result.of("imbalance")[0].detail.startswith("'Cat' has 70 images in train and ")
    assert "'Cat' has no image in test" in [finding.detail for finding in result.of("missing_class")]


def test_the_perceptual_hash_survives_what_people_do_to_pictures(tmp_path):
    for seed in range(20):
        save(scene(seed), tmp_path / "cat" / f"{seed}.png")
        save(scene(seed).resize((90, 68)), tmp_path / "dog" / f"{seed}.jpg", quality=60)
    dataset = open_dataset(tmp_path, check_files=False)
    facts = {record.key: facts_of(dataset, "train", record) for record in dataset.records("all")}
    distances = np.array(
        [
            [(facts[f"cat/{i}.png"].perceptual ^ facts[f"dog/{j}.jpg"].perceptual).bit_count() for j in range(20)]
            for i in range(20)
        ]
    )
    assert np.diag(distances).max() <= NEAR_BITS
    assert distances[~np.eye(20, dtype=bool)].min() > NEAR_BITS


def hashed(number, bits, thumb):
    record = Record(key=f"{number:05d}", label="a")
    return Facts(record=record, split="train", digest=number.to_bytes(4, "big"), perceptual=bits, thumb=thumb)


def part(seed, scratched, noise=4):
    """A part under a camera that stands still."""
    generator = np.random.default_rng(seed)
    image = Image.new("L", (256, 256), 60)
    draw = ImageDraw.Draw(image)
    draw.ellipse((40, 40, 216, 216), fill=170)
    draw.ellipse((100, 100, 156, 156), fill=60)
    if scratched:
        x, y = generator.integers(60, 180, 2).tolist()
        draw.line((x, y, x + 12, y + 9), fill=20, width=2)
    return Image.fromarray((np.asarray(image) + generator.normal(0, noise, (256, 256))).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("noise", [4, 1])
def test_pictures_of_a_fixed_camera_are_no_copies(tmp_path, noise):
    for i in range(20):
        save(part(i, False, noise), tmp_path / "good" / f"{i:02d}.jpg", quality=92)
        save(part(100 + i, True, noise), tmp_path / "bad" / f"{i:02d}.jpg", quality=92)
    kinds, result = found(tmp_path)
    assert set(kinds) == {"look_alike"}
    assert result.errors == 0
    assert result.exclusions() == []
    assert len(result.exclusions(look_alikes=True)) <= 40


def test_copies_among_pictures_of_a_fixed_camera_are_found(tmp_path):
    for split, first in (("train", 0), ("test", 500)):
        for i in range(10):
            save(part(first + i, False), tmp_path / split / "good" / f"{i:02d}.jpg", quality=92)
            save(part(first + 100 + i, True), tmp_path / split / "bad" / f"{i:02d}.jpg", quality=92)
    train, test = tmp_path / "train", tmp_path / "test"
    source = [Image.fromarray(images.read(train / "good" / f"{i:02d}.jpg")) for i in range(6)]
    save(source[0], test / "good" / "again.jpg", quality=75)
    save(source[1].resize((205, 205)), test / "good" / "smaller.jpg", quality=80)
    save(ImageOps.mirror(source[2]), test / "good" / "mirrored.jpg", quality=90)
    save(source[3], train / "bad" / "other.png")  # the same pixels in another format
    save(source[4].resize((512, 512), Image.Resampling.BICUBIC), train / "good" / "larger.png")
    kinds, result = found(tmp_path)
    kinds.pop("look_alike")
    kinds.pop("colourless", None)
    assert kinds == {
        "near_leakage": [
            ("test/good/again.jpg", "train/good/00.jpg"),
            ("test/good/mirrored.jpg", "train/good/02.jpg"),
            ("test/good/smaller.jpg", "train/good/01.jpg"),
        ],
        "contradiction": [("train/bad/other.png", "train/good/03.jpg")],
        "near_duplicate": [("train/good/04.jpg", "train/good/larger.png")],
    }
    assert [key for key, _ in result.exclusions()] == [
        "train/bad/other.png",
        "train/good/00.jpg",
        "train/good/01.jpg",
        "train/good/02.jpg",
        "train/good/03.jpg",
        "train/good/larger.png",
    ]


def boxes(seed, size):
    """A drawing of a few boxes with hard edges, which tell by one pixel where a picture is cut into squares."""
    generator = np.random.default_rng(seed)
    pixels = np.full((*size, 3), 255, np.uint8)
    for _ in range(6):
        row, column = (int(generator.integers(side - 3)) for side in size)
        pixels[row : row + generator.integers(2, 40), column : column + generator.integers(2, 40)] = generator.integers(
            0, 255, 3
        )
    return Image.fromarray(pixels)


@pytest.mark.parametrize("draw_one", [scene, lambda seed: boxes(seed, (100, 83))])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_an_image_and_its_mirror_image_in_two_classes_contradict_each_other(tmp_path, draw_one, suffix):
    for name, first in (("cat", 0), ("dog", 100)):
        for i in range(8):
            save(draw_one(first + i), tmp_path / name / f"{i}.{suffix}", quality=90)
    save(ImageOps.mirror(draw_one(0)), tmp_path / "dog" / f"mirrored.{suffix}", quality=90)
    kinds, result = found(tmp_path)
    pair = (f"cat/0.{suffix}", f"dog/mirrored.{suffix}")
    assert kinds["contradiction"] == [pair]
    assert "cat / dog" in result.of("contradiction")[0].detail
    assert [key for key, _ in result.exclusions()] == sorted(pair)


def test_a_class_folder_without_an_image_is_an_error_that_says_what_to_do(tmp_path):
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            for i in range(3):
                save(scene(i + (50 if name == "dog" else 0)), tmp_path / split / name / f"{split}{i}.png")
    (tmp_path / "train" / "owl").mkdir()
    (tmp_path / "train" / "owl" / "notes.txt").write_text("owls are out")
    (tmp_path / "train" / "emu").mkdir()
    (tmp_path / "train" / "cat" / "labels").mkdir()  # inside a class: no class
    (tmp_path / "train" / "cat" / "labels" / "a.xml").write_text("")
    _, result = found(tmp_path)
    assert [finding.detail for finding in result.of("lost_class")] == [
        "train/owl lies where the classes do and holds 1 file(s), none of them an image (.txt): "
        "put its images there, or move it out of the data"
    ]
    assert "train/emu is empty; add its images, or remove it" in [f.detail for f in result.of("missing_class")]
    assert result.errors == 1 + len(result.of("leakage"))


def test_what_is_gray_or_recoloured_is_no_proven_copy(photos):
    save(scene(1).convert("L"), photos / "test" / "cat" / "gray.png")
    red, green, blue = scene(2).split()
    save(Image.merge("RGB", (green, red, blue)), photos / "test" / "dog" / "recoloured.png")
    kinds, result = found(photos)
    assert result.errors == 0
    assert ("test/cat/gray.png", "train/cat/1.png") in [tuple(sorted(keys)) for keys in kinds["look_alike"]]


def test_classes_that_tell_left_from_right_do_not_contradict_each_other(tmp_path):
    for i in range(12):
        save(scene(i), tmp_path / "left" / f"{i}.png")
        save(ImageOps.mirror(scene(i)), tmp_path / "right" / f"{i}.png")
    kinds, result = found(tmp_path)
    assert len(kinds["mirror_twins"]) == 12
    assert not result.of("contradiction")
    for i in range(12):
        (tmp_path / "right" / f"{i}.png").unlink(missing_ok=i > 0)
        save(scene(100 + i), tmp_path / "right" / f"{i}.png")
    save(ImageOps.mirror(scene(3)), tmp_path / "right" / "slip.png")
    assert [f.keys for f in found(tmp_path)[1].of("contradiction")] == [("left/3.png", "right/slip.png")]


def test_components_hold_every_pair_that_is_near():
    generator = np.random.default_rng(0)
    facts = []
    for _ in range(150):
        bits, thumb = int.from_bytes(generator.bytes(8)), generator.integers(0, 256, (16, 16)).astype(np.uint8)
        for _ in range(int(generator.integers(1, 5))):  # what looks alike, at a distance of up to eight bits
            turned = generator.choice(64, int(generator.integers(0, 5)), replace=False)
            facts.append(hashed(len(facts), bits ^ sum(1 << int(bit) for bit in turned), thumb))
    near = [
        (j, i)
        for i in range(len(facts))
        for j in range(i)
        if (facts[i].perceptual ^ facts[j].perceptual).bit_count() <= NEAR_BITS
    ]
    matrix = coo_matrix((np.ones(len(near)), np.transpose(near)), (len(facts), len(facts)))
    alone = connected_components(matrix)[1]
    expected = {frozenset(np.flatnonzero(alone == number).tolist()) for number in alone}
    found = {frozenset(part.tolist()) for part in Neighbours(facts, mirrors=False).components}
    assert all(any(group <= whole for whole in found) for group in expected if len(group) > 1)
    assert len(found) > 80


def test_mirror_images_are_in_one_component(tmp_path):
    for seed in range(12):
        save(scene(seed), tmp_path / "a" / f"{seed:02d}.png")
        save(ImageOps.mirror(scene(seed)), tmp_path / "b" / f"{seed:02d}.png")
    dataset = survey(tmp_path)
    facts = [facts_of(dataset, "train", r) for r in sorted(dataset.records("all"), key=lambda record: record.key)]
    components = [sorted(part.tolist()) for part in Neighbours(facts, mirrors=True).components]
    pairs = sorted(tuple(sorted(entry % 24 for entry in part)) for part in components)
    assert pairs == [(i, i + 12) for i in range(12)]
    assert Neighbours(facts, mirrors=False).components == []


def test_thousands_of_frames_of_one_still_film_are_one_group():
    generator = np.random.default_rng(1)
    thumb = generator.integers(0, 256, (16, 16)).astype(np.uint8)
    film = [hashed(i, 1 << i % 3, thumb) for i in range(3000)]
    looks = generator.integers(0, 256, (50, 16, 16)).astype(np.uint8)
    others = [hashed(3000 + i, int.from_bytes(generator.bytes(8)), look) for i, look in enumerate(looks)]
    near = Neighbours([*film, *others], mirrors=False)
    assert [len(numbers) for numbers, _ in near.alike()] == [3000]
    assert [len(part) for part in near.components] == [3000]


def test_what_looks_alike_through_a_third_image_is_no_group():
    grades = [np.full((16, 16), value, np.uint8) for value in (100, 110, 120)]  # the first and the last are too far
    facts = [hashed(i, 7, thumb) for i, thumb in enumerate(grades)]
    assert Neighbours(facts, mirrors=False).alike() == [([0, 1], False)]


def test_sources_without_files_are_checked_too():
    result = check(survey("digits"))
    assert result.images == 1797
    assert not result.of("unreadable")
    assert not result.of("tiny")


def test_the_command_prints_writes_and_excludes(photos, tmp_path, capsys):
    (photos / "test" / "cat" / "x.png").write_bytes((photos / "train" / "cat" / "1.png").read_bytes())
    page, listed = tmp_path / "check.html", tmp_path / "exclude.txt"
    assert main(["check", str(photos), "--html", str(page), "--write-list", str(listed)]) == 0
    printed = capsys.readouterr().out
    assert "leakage" in printed
    assert "test/cat/x.png" in printed
    assert read_exclusions(listed) == {"train/cat/1.png"}
    text = page.read_text()
    assert text.count("data:image/jpeg;base64,") == 2
    assert "<b>test, cat</b><br>test/cat/x.png" in text
    assert "http://" not in text
    assert "https://" not in text
    assert main(["check", str(photos), "--json", "--strict"]) == 1
    plain = json.loads(capsys.readouterr().out)
    assert plain["findings"][0]["keys"] == ["test/cat/x.png", "train/cat/1.png"]
    assert main(["check", str(photos), "--exclude", str(listed), "--strict"]) == 0
    assert "nothing to complain about" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "nowhere")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_names_of_files_cannot_run_in_the_page(photos, tmp_path):
    save(Image.new("RGB", (64, 64)), photos / "train" / "cat" / "<img src=x onerror=alert(1)>.png")
    main(["check", str(photos), "--html", str(tmp_path / "check.html"), "--quiet"])
    assert "<img src=x" not in (tmp_path / "check.html").read_text()


def board(seed, lamp, noise=2):
    """A textured board under a camera that stands still, and a small lamp on it."""
    texture = np.random.default_rng(5).normal(110, 25, (120, 160, 3)).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(texture).resize((240, 180), Image.Resampling.BICUBIC)
    x = 150 + seed % 3
    ImageDraw.Draw(image).ellipse((x, 60, x + 7, 67), fill=lamp)
    pixels = np.asarray(image) + np.random.default_rng(seed).normal(0, noise, (180, 240, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def test_a_still_background_with_texture_proves_nothing(tmp_path):
    for i in range(14):
        save(board(i, (30, 200, 30)), tmp_path / "good" / f"{i:02d}.png")
        save(board(100 + i, (220, 30, 30)), tmp_path / "bad" / f"{i:02d}.png")
    save(board(3, (30, 200, 30)), tmp_path / "good" / "again.jpg", quality=85)
    kinds, _ = found(tmp_path)
    kinds.pop("look_alike")
    assert [keys for group in kinds.values() for keys in group] == [("good/03.png", "good/again.jpg")]
