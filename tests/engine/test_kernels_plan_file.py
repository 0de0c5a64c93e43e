"""Plan files: written and read back, damaged in every way, and predicted from without torch."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convlens.images import Preprocessing, read

kernels = pytest.importorskip("convlens_kernels")

PREPROCESSING = Preprocessing(size=(8, 8), resize=10, crop="center", mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))


def small_plan():
    """Mean colour to three classes, from bytes."""
    tensors = [
        {"channels": 3, "height": 8, "width": 8, "layout": "nhwc"},
        {"channels": 16, "height": 8, "width": 8, "offset": 0},
        {"channels": 16, "height": 1, "width": 1, "offset": 4096},
        {"channels": 3, "height": 1, "width": 1, "offset": 4160},
        {"channels": 3, "height": 1, "width": 1, "layout": "nchw"},
    ]
    steps = [
        {"op": "convolution", "x": 0, "y": 1, "constant": 0},
        {"op": "adaptive_pool", "kind": "average", "x": 1, "y": 2},
        {"op": "linear", "x": 2, "y": 3, "constant": 1},
        {"op": "convert", "x": 3, "y": 4},
    ]
    random = np.random.default_rng(0)
    arrays = {
        "weight": random.standard_normal((16, 3, 1, 1)),
        "mean": np.array(PREPROCESSING.mean),
        "deviation": np.array(PREPROCESSING.std),
    }
    linear = random.standard_normal((3, 16))
    constants = [kernels.pack(steps[0], tensors, arrays), kernels.pack(steps[2], tensors, {"weight": linear})]
    description = {
        "isa": kernels.isa(),
        "arena": 4224,
        "inputs": [0],
        "outputs": [4],
        "tensors": tensors,
        "steps": steps,
    }
    metadata = {"classes": ["red", "grün", "blue"], "preprocessing": PREPROCESSING.to_dict()}

    def reference(x_NCHW):
        return (linear @ (arrays["weight"][:, :, 0, 0] @ x_NCHW.mean((2, 3)).T)).T

    return description, constants, metadata, reference


def plan_with_whole_numbers():
    """A convolution in int8 more, which pads."""
    description, constants, metadata, _ = small_plan()
    whole = {"dtype": "uint8", "scale": 0.02, "zero_point": 100, "offset": 4288}
    tensors = [*description["tensors"], {"channels": 16, "height": 8, "width": 8} | whole]
    tensors.append({"channels": 20, "height": 8, "width": 8, "offset": 5312})
    steps = description["steps"]
    product = {"op": "convolution", "compute": "int8", "kernel": [3, 3], "padding": [1, 1, 1, 1], "x": 5, "y": 6}
    weight = np.random.default_rng(1).standard_normal((20, 16, 3, 3))
    packed = kernels.pack(product, tensors, {"weight": weight, "weight_scale": np.full(20, 0.03)})
    steps = [steps[0], {"op": "convert", "x": 1, "y": 5}, product | {"constant": 2}, *steps[1:]]
    description |= {"tensors": tensors, "steps": steps, "arena": 5312 + 8192}
    return description, [*constants, packed], metadata


@pytest.fixture(scope="module")
def plan_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("plan") / "colours.plan"
    description, constants, metadata, _ = small_plan()
    kernels.write_plan(path, description, constants, metadata)
    return path


def test_what_is_read_is_what_was_written(plan_path):
    description, constants, metadata, _ = small_plan()
    plan = kernels.read_plan(plan_path)
    assert plan.description == description
    assert plan.metadata == metadata
    for found, expected in zip(plan.constants, constants, strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.ctypes.data % 64 == 0
        assert not found.flags.writeable
    assert [p.name for p in plan_path.parent.iterdir()] == ["colours.plan"]


def pictures(folder):
    """A JPEG, a turned one, gray, transparent, 16 bits, a palette."""
    random = np.random.default_rng(1)
    colours = Image.fromarray(random.integers(0, 256, (60, 45, 3), np.uint8)).resize((90, 120))
    exif = Image.Exif()
    exif[0x0112] = 6
    colours.save(folder / "plain.jpg")
    colours.save(folder / "turned.jpg", exif=exif)
    colours.convert("L").save(folder / "gray.png")
    colours.convert("P").save(folder / "palette.png")
    colours.convert("CMYK").save(folder / "cmyk.jpg")
    clear = colours.convert("RGBA")
    clear.putalpha(Image.fromarray(random.integers(0, 256, (120, 90), np.uint8)))
    clear.save(folder / "clear.png")
    Image.fromarray(random.integers(0, 65536, (30, 40), np.uint16)).save(folder / "sixteen.png")
    return sorted(folder.iterdir())


@pytest.mark.parametrize(
    "preprocessing",
    [
        PREPROCESSING,
        Preprocessing(size=(20, 30), resize=(20, 30), mean=(0.5,), std=(0.5,), channels=1, interpolation="bicubic"),
        Preprocessing(size=(12, 12), resize=12, crop="center", mean=(0.0,) * 3, std=(1.0,) * 3, antialias=False),
        Preprocessing(size=(200, 40), crop="center", mean=(0.0,) * 3, std=(1.0,) * 3),
    ],
)
def test_images_are_read_as_convlens_reads_them(tmp_path, preprocessing):
    from convlens_kernels.images import Preprocessing as Ours

    ours = Ours.from_dict(json.loads(json.dumps(preprocessing.to_dict())))
    for path in pictures(tmp_path):
        pixels = ours.open(path)
        theirs = read(path, channels=preprocessing.channels, at_least=preprocessing.decoding_size())
        np.testing.assert_array_equal(pixels, preprocessing.fit(theirs), err_msg=path.name)
        np.testing.assert_array_equal(ours.normalize(pixels[None])[0], preprocessing.open(path), err_msg=path.name)


def test_predictions(plan_path, tmp_path):
    reference = small_plan()[3]
    paths = pictures(tmp_path)
    x = np.stack([PREPROCESSING.open(path) for path in paths])
    predictor = kernels.load(plan_path, threads=2)
    np.testing.assert_allclose(predictor.logits(paths), reference(x), rtol=1e-4, atol=1e-4)
    found = predictor.predict([paths[0], paths[1].read_bytes(), read(paths[2])], top=2)
    assert [len(p.classes) for p in found] == [2, 2, 2]
    assert found[0].label == ["red", "grün", "blue"][reference(x)[0].argmax()]
    assert 0 < found[0].probabilities[1] <= found[0].probabilities[0] <= 1
    assert predictor.predict([]) == []
    (tmp_path / "words.jpg").write_text("no image")
    with pytest.raises(kernels.ImageError, match=r"words\.jpg cannot be decoded"):
        predictor.predict([tmp_path / "words.jpg"])
    with pytest.raises(kernels.ImageError, match="cannot be opened: No such file"):
        predictor.predict([tmp_path / "absent.jpg"])


def test_it_needs_neither_torch_nor_convlens(plan_path, tmp_path):
    Image.new("RGB", (20, 20), "red").save(tmp_path / "red.png")
    installed = Path(kernels.__file__).parents[1]
    code = f"""
import sys
for name in ("torch", "convlens", "onnxruntime", "openvino", "scipy"):
    sys.modules[name] = None
import convlens_kernels as k
print(k.load({str(plan_path)!r}).predict([{str(tmp_path / "red.png")!r}])[0].label)
"""
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("red", "grün", "blue")


def test_refusals_say_what_to_do(plan_path, tmp_path):
    content = plan_path.read_bytes()
    cases = {
        "empty": (b"", "is no plan: it has 0 bytes; export one with --to plan"),
        "text": (b"x" * 200, "is no plan; export one"),
        "newer": (
            content[:12] + struct.pack("<I", 99) + content[16:],
            "is of version 99, and this .* reads 1: export it again",
        ),
        "short": (content[:-64], "is damaged: it says .* copy or export it again"),
        "longer": (content + b"\0" * 64, "is damaged: it says"),
        "changed": (content[:-1] + bytes([content[-1] ^ 1]), "is damaged: its checksum"),
    }
    for name, (wrong, message) in cases.items():
        path = tmp_path / name
        path.write_bytes(wrong)
        with pytest.raises(kernels.PlanError, match=message):
            kernels.load(path)
    with pytest.raises(kernels.PlanError, match="cannot be opened: No such file"):
        kernels.load(tmp_path / "absent")
    description, constants, metadata, _ = small_plan()
    for isa, message in (
        ("sparc", "was made for sparc; .* export it again on this machine"),
        ("portable", "set CONVLENS_ISA=portable"),
    ):
        if isa == kernels.isa():
            continue
        kernels.write_plan(tmp_path / "other", description | {"isa": isa}, constants, metadata)
        with pytest.raises(kernels.PlanError, match=message):
            kernels.load(tmp_path / "other")
    for field, wrong, message in (
        ("size", [8, "8"], "size cannot be"),
        ("size", [8, 9], r"tensors of \[\(3, 8, 8\), \(3, 1, 1\)\], but images of \(3, 8, 9\)"),
        ("std", [0.2, 0, 0.3], "std cannot be"),
        ("interpolation", {}, "interpolation cannot be"),
    ):
        changed = metadata | {"preprocessing": PREPROCESSING.to_dict() | {field: wrong}}
        kernels.write_plan(tmp_path / "other", description, constants, changed)
        with pytest.raises(kernels.PlanError, match=message):
            kernels.load(tmp_path / "other")
    kernels.write_plan(tmp_path / "other", description, constants, metadata | {"preprocessing": "none"})
    with pytest.raises(kernels.PlanError, match="lacks its classes or preprocessing"):
        kernels.load(tmp_path / "other")
    kernels.write_plan(tmp_path / "bare", description, constants, {})
    with pytest.raises(kernels.PlanError, match="lacks its classes"):
        kernels.load(tmp_path / "bare")
    assert kernels.read_plan(tmp_path / "bare").program().constant_bytes > 0


def test_no_changed_byte_and_no_lost_end_is_ever_run(plan_path, tmp_path):
    """Every byte, one after the other, in a bit that depends on its place; and every length."""
    whole = plan_path.read_bytes()
    changed = [whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :] for i in range(len(whole))]
    path = tmp_path / "damaged.plan"
    for damaged in [*changed, *(whole[:size] for size in range(len(whole))), whole + b"\0", whole * 2]:
        path.write_bytes(damaged)
        with pytest.raises(kernels.PlanError):
            kernels.read_plan(path)


JUNK = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=3)
    | st.lists(st.integers(-5, 70000), max_size=4)
)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_a_whole_file_with_wrong_content_is_refused_or_runs(tmp_path_factory, data):
    """The checksum is right, the steps are not: whatever is accepted must run within its memory."""
    description, constants, metadata = plan_with_whole_numbers()
    description = json.loads(json.dumps(description))
    for _ in range(data.draw(st.integers(1, 3))):
        kind = data.draw(st.sampled_from(["steps", "tensors", "top"]))
        target = description if kind == "top" else data.draw(st.sampled_from(description[kind]))
        target[data.draw(st.sampled_from(sorted(target)))] = data.draw(JUNK)
        if (
            not isinstance(description["steps"], list)
            or not isinstance(description["tensors"], list)
            or not description["steps"]
            or not description["tensors"]
        ):
            break
        if not all(isinstance(s, dict) for s in description["steps"] + description["tensors"]):
            break
    path = tmp_path_factory.getbasetemp() / "wrong.plan"
    try:
        kernels.write_plan(path, description, constants, metadata)
        program = kernels.read_plan(path).program()
    except ValueError:
        return
    try:
        program.run(np.zeros((1, 8, 8, 3), np.uint8))
    except ValueError:
        return
