"""`convlens check` on many files: time, memory, and whether it finds everything that was planted.

Half of the images are JPEGs of 500 × 375 pixels and half of 128 × 128, in ten classes and three splits; among them are
copies, nearly the same images, files that cannot be read and images that are odd in every way that is checked. The peer
is the loop that people write for this, in one thread: Pillow decodes, MD5 finds copies, and a perceptual hash as
ImageHash computes it finds what looks the same, where its 64 bits are equal. Each side runs in a process of its own,
ours with as many threads as there are processors; what counts is processor time.

Example: python benchmarks/check.py --quick
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from PIL import Image

CLASSES = ("bird", "boat", "cat", "cup", "dog", "fish", "horse", "house", "tree", "truck")
SPLITS = ("train",) * 8 + ("val", "test")  # of every ten images
LARGE, SMALL = (500, 375), (128, 128)
Planted = list[tuple[str, tuple[str, ...]]]  # kind and keys


def picture(seed: int, size: tuple[int, int]) -> Image.Image:
    """A drawn picture as unlike others as photographs are: soft colours, hard shapes, a sensor's grain."""
    generator = np.random.default_rng(seed)
    width, height = size
    coarse = generator.integers(30, 226, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    for _ in range(6):
        sides = (generator.uniform(0.1, 0.4, 2) * size).astype(int)
        corner = (generator.uniform(-0.1, 0.9, 2) * size).astype(int)
        image.paste(tuple(generator.integers(0, 256, 3).tolist()), (*corner.tolist(), *(corner + sides).tolist()))
    grain = _GRAIN[int(generator.integers(100)) :][:height, int(generator.integers(100)) :][:, :width]
    return Image.fromarray((np.asarray(image, np.int16) + grain).clip(0, 255).astype(np.uint8))


_GRAIN = np.random.default_rng(0).normal(0, 4, (600, 700, 3)).astype(np.int16)


def draw(root: Path, count: int) -> list[str]:
    """Draw the images that nothing is wrong with, and give their keys."""
    keys = []
    for i in range(count):
        key = f"{SPLITS[i // len(CLASSES) % len(SPLITS)]}/{CLASSES[i % len(CLASSES)]}/{i:06d}.jpg"
        _save(picture(i, LARGE if i % 20 < 10 else SMALL), root / key, quality=85)
        keys.append(key)
        if i % 1000 == 999:
            print(f"\rdrawing {i + 1:,} of {count:,}", end="", file=sys.stderr, flush=True)
    return keys


def plant(root: Path, keys: list[str], each: int) -> Planted:
    """Add what should be found, `each` of a kind, and say what it is."""
    train = [key for key in keys if key.startswith("train/")]
    kinds = ("leakage", "near_leakage", "contradiction", "near_contradiction", "duplicate", "near_duplicate")
    victims = iter(np.random.default_rng(1).permutation(train)[: each * len(kinds)].tolist())
    planted: Planted = []
    for kind in kinds:
        for number in range(each):
            key = str(next(victims))
            copy = _copy_name(key, kind, number)
            if "near" in kind:
                image = Image.open(root / key)
                _save(image.resize((image.width * 4 // 5, image.height * 4 // 5)), root / copy, quality=60)
            else:
                (root / copy).write_bytes((root / key).read_bytes())
            planted.append((kind.replace("near_contradiction", "contradiction"), tuple(sorted((key, copy)))))
    for number in range(each):
        planted += _odd_ones(root, number)
    for number in range(3):  # a class that is spelt like another, small, and only in training
        _save(picture(2_000_000 + number, SMALL), root / "train" / "Cat" / f"{number}.jpg")
    return [*planted, ("name_clash", ()), ("missing_class", ()), ("imbalance", ())]


def _copy_name(key: str, kind: str, number: int) -> str:
    split, label, _ = key.split("/")
    if "leakage" in kind:
        split = ("val", "test")[number % 2]
    if "contradiction" in kind:
        label = CLASSES[(CLASSES.index(label) + 1) % len(CLASSES)]
    return f"{split}/{label}/{kind}-{number}.jpg"


def _odd_ones(root: Path, number: int) -> Planted:
    """One image of each kind that is odd by itself."""
    seed, folder = 1_000_000 + 100 * number, root / "train" / CLASSES[number % len(CLASSES)]
    exif = Image.Exif()
    exif[0x0112] = 6
    gray16 = np.asarray(picture(seed + 3, LARGE).convert("L")).astype(np.uint16) * 257
    drawn: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "animated": (picture(seed, SMALL), "gif", {"save_all": True, "append_images": [picture(seed + 1, SMALL)]}),
        "cmyk": (picture(seed + 2, LARGE).convert("CMYK"), "jpg", {}),
        "sixteen_bit": (Image.fromarray(gray16), "png", {}),
        "rotated": (picture(seed + 4, LARGE), "jpg", {"exif": exif}),
        "tiny": (picture(seed + 5, (24, 20)), "png", {}),
        "odd_aspect": (picture(seed + 6, (500, 100)), "jpg", {}),
        "odd_size": (picture(seed + 7, LARGE).resize((6000, 4500)), "jpg", {"quality": 60}),
        "uniform": (Image.new("RGB", LARGE, (90, 120, 20 + number)), "png", {}),
        "blurry": (picture(seed + 8, LARGE).resize((9, 7)).resize(LARGE, Image.Resampling.BICUBIC), "jpg", {}),
        "dark": (picture(seed + 9, LARGE).point(lambda v: v * 0.1), "jpg", {}),
        "bright": (picture(seed + 10, LARGE).point(lambda v: 228 + v * 0.1), "jpg", {}),
        "low_information": (_nearly_empty(seed + 12), "png", {}),
        "colourless": (picture(seed + 11, LARGE).convert("L"), "jpg", {}),
    }
    planted: Planted = []
    for kind, (image, suffix, options) in drawn.items():
        path = folder / f"{kind}-{number}.{suffix}"
        _save(image, path, **options)
        planted.append((kind, (path.relative_to(root).as_posix(),)))
    whole = next(folder.glob("0*.jpg")).read_bytes()
    for name, content in (("half", whole[: len(whole) // 2]), ("text", b"no image"), ("empty", b"")):
        path = folder / f"{name}-{number}.jpg"
        path.write_bytes(content)
        planted.append(("unreadable", (path.relative_to(root).as_posix(),)))
    return planted


def _nearly_empty(seed: int) -> Image.Image:
    page = Image.new("RGB", LARGE, "white")
    page.paste(picture(seed, (60, 60)), (200, 100))
    return page


def _save(image: Image.Image, path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def ours(root: Path, page: Path) -> dict[str, Any]:
    """What `convlens check DATA --html` does, with the time of its parts."""
    from convlens.commands.bar import bar
    from convlens.data.check_page import page_of
    from convlens.data.findings import check
    from convlens.data.opening import survey

    dataset = survey(root)
    with bar("checking", False) as on_progress:
        result = check(dataset, on_progress=on_progress)
    before = time.process_time()
    page.write_text(page_of(result), encoding="utf-8")
    return {
        "findings": [(finding.kind, finding.keys) for finding in result.findings],
        "page_seconds": time.process_time() - before,
        "page_bytes": page.stat().st_size,
    }


def peers(root: Path, _: Path) -> dict[str, Any]:
    """The loop that people write: decode, MD5, perceptual hash; equal ones are duplicates."""
    same, alike = defaultdict(list), defaultdict(list)
    findings = []
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        key = path.relative_to(root).as_posix()
        try:
            image = Image.open(path)
            image.load()
        except Exception:
            findings.append(("unreadable", (key,)))
            continue
        same[hashlib.md5(path.read_bytes(), usedforsecurity=False).digest()].append(key)
        alike[_image_hash(image)].append(key)
    findings += [("duplicate", tuple(keys)) for keys in same.values() if len(keys) > 1]
    findings += [("near_duplicate", tuple(keys)) for keys in alike.values() if len(keys) > 1]
    return {"findings": findings}


def _image_hash(image: Image.Image) -> bytes:
    """As `imagehash.phash` does: 32 × 32 gray, cosine transform in both directions, 8 × 8 against the median."""
    pixels = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS), np.float64)
    low = (_COSINES @ pixels @ _COSINES.T)[:8, :8]
    return np.packbits(low > np.median(low)).tobytes()


_COSINES = np.cos(np.pi / 32 * np.arange(32)[:, None] * (np.arange(32) + 0.5))


def measured(side: Callable[[Path, Path], dict[str, Any]], root: Path, page: Path) -> dict[str, Any]:
    """Run one side in a process of its own: what it found, seconds of processor and clock, and its largest memory."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measure, (side, root, page))


def _measure(side: Callable[[Path, Path], dict[str, Any]], root: Path, page: Path) -> dict[str, Any]:
    start, clock = time.process_time(), time.perf_counter()
    said = side(root, page)
    said |= {"seconds": time.process_time() - start, "clock": time.perf_counter() - clock}
    return said | {"megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def missed(planted: Planted, findings: list[tuple[str, tuple[str, ...]]]) -> Planted:
    """What was planted and not found under its name."""
    found = defaultdict(list)
    for kind, keys in findings:
        found[kind].append(set(keys))
    return [(kind, keys) for kind, keys in planted if not any(set(keys) <= group for group in found[kind])]


def invented(planted: Planted, findings: list[tuple[str, tuple[str, ...]]]) -> list[tuple[str, tuple[str, ...]]]:
    """What was found of an image that nothing was planted for."""
    known = {key for _, keys in planted for key in keys}
    return [(kind, keys) for kind, keys in findings if keys and not set(keys) & known and "/Cat/" not in keys[0]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1,000 images instead of 50,000: under a minute")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--data", type=Path, help="where to draw the images, and to find them the next time")
    parser.add_argument("--page", type=Path, help="where to keep the page")
    options = parser.parse_args()
    count, each = (1_000, 3) if options.quick else (50_000, 10)
    with tempfile.TemporaryDirectory() as folder:
        root = options.data or Path(folder) / "images"
        planted, images = drawn_once(root, count, each)
        page = options.page or Path(folder) / "check.html"
        we, they = measured(ours, root, page), measured(peers, root, page)
    print(file=sys.stderr)
    rows = rows_of(we, they, images)
    lost, extra = missed(planted, we["findings"]), invented(planted, we["findings"])
    if options.json:
        json.dump({"rows": rows, "planted": len(planted), "missed": lost, "invented": extra}, sys.stdout, indent=2)
        print()
        return 0
    for row in rows:
        print(f"{row['what']:<44} ours {row['ours']:>9,} {row['unit']}, peer {row['peer']:>9,}: {row['ratio']:.2f} ×")
    print(f"clock: ours {we['clock']:.0f} s, peer {they['clock']:.0f} s")
    print(f"page: {we['page_bytes'] / 1e6:.2f} MB, {we['page_seconds']:.1f} s")
    print(f"planted {len(planted)}, missed {len(lost)}: {lost[:5]}")
    print(f"found where nothing was planted: {len(extra)}: {extra[:5]}")
    return 0


def drawn_once(root: Path, count: int, each: int) -> tuple[Planted, int]:
    """Draw and plant, or read what an earlier run has drawn there; with the number of files."""
    note = root.with_name(root.name + ".json")
    if note.exists():
        planted = [(kind, tuple(keys)) for kind, keys in json.loads(note.read_text(encoding="utf-8"))]
    else:
        planted = plant(root, draw(root, count), each)
        note.write_text(json.dumps(planted), encoding="utf-8")
    return planted, sum(1 for path in root.rglob("*") if path.is_file())


def rows_of(we: dict[str, Any], they: dict[str, Any], images: int) -> list[dict[str, Any]]:
    speeds = [round(images / side["seconds"], 1) for side in (we, they)]
    memory = [round(side["megabytes"]) for side in (we, they)]
    return [
        {
            "what": f"check of {images:,} images",
            "ours": speeds[0],
            "peer": speeds[1],
            "unit": "images/s per core",
            "ratio": round(speeds[0] / speeds[1], 2),
        },
        {
            "what": "largest memory of the process",
            "ours": memory[0],
            "peer": memory[1],
            "unit": "MB",
            "ratio": round(memory[1] / memory[0], 2),
        },
    ]


if __name__ == "__main__":
    sys.exit(main())
