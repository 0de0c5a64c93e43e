"""Images a second and core from files to normalised batches: ours against the classic transforms in Pillow.

Both take random resized crops to 224 pixels, mirror half of them, normalise and collate, in one thread. The peer does
it as torchvision's classic transforms do: decode in full, crop, resize with Pillow, convert to a tensor, normalise.
Ours is measured in the first epoch, whose images it decodes and keeps, and in later ones, which find them in the
store. The images are drawn by this script; both sides are run in turn, several times, and the median counts.

Example: python benchmarks/loading.py --quick
"""

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from PIL import Image

from convlens.data import Augmentation, Dataset, Loader, open_dataset
from convlens.images import Preprocessing

BATCH = 16
QUALITY = 85
IMAGENET = Preprocessing(
    size=(224, 224), resize=256, crop="center", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)
CROPS = Augmentation(crop_scale=(0.08, 1.0), flip=True)


def draw_photos(folder: Path, count: int, width: int, height: int) -> None:
    """Draw JPEGs of noise whose strength grows with its scale, as in natural images, and of a sensor's grain."""
    generator = np.random.default_rng(0)
    for i in range(count):
        scene = 128 + generator.normal(0, 2, (height, width, 3))
        for strength, scale in ((60, 128), (30, 32), (10, 8), (5, 3)):
            noise = 128 + generator.normal(0, strength, (height // scale + 2, width // scale + 2, 3))
            layer = Image.fromarray(noise.clip(0, 255).astype(np.uint8)).resize(
                (width, height), Image.Resampling.BICUBIC
            )
            scene += np.asarray(layer, np.float64) - 128
        path = folder / ("cat", "dog")[i % 2] / f"{i:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene.clip(0, 255).astype(np.uint8)).save(path, quality=QUALITY)


def classic_epoch(dataset: Dataset) -> None:
    """One epoch of the classic transforms: every step as in torchvision's RandomResizedCrop to Normalize."""
    generator = np.random.default_rng(0)
    mean = torch.tensor(IMAGENET.mean).view(3, 1, 1)
    std = torch.tensor(IMAGENET.std).view(3, 1, 1)
    batch = []
    for record in dataset.records("train"):
        with Path(record.path).open("rb") as file:
            image = Image.open(file).convert("RGB")
        top, left, height, width = classic_crop(image.height, image.width, generator)
        image = image.crop((left, top, left + width, top + height)).resize(IMAGENET.size, Image.BILINEAR)
        if generator.random() < 0.5:
            image = image.transpose(Image.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        batch.append(pixels.to(torch.float32).div(255).sub_(mean).div_(std))
        if len(batch) == BATCH:
            torch.stack(batch)
            batch = []


def classic_crop(height: int, width: int, generator: np.random.Generator) -> tuple[int, int, int, int]:
    """Draw crops until one fits into the image, at most ten times."""
    for _ in range(10):
        area = height * width * generator.uniform(0.08, 1.0)
        ratio = math.exp(generator.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(generator.integers(height - h + 1)), int(generator.integers(width - w + 1)), h, w
    side = min(height, width)
    return (height - side) // 2, (width - side) // 2, side, side


def our_epoch(loader: Loader, epoch: int) -> None:
    for _ in loader.epoch(epoch):
        pass


def rate(run: Callable[[], None], images: int) -> float:
    """Images a second of processor time, so that what else runs on the machine does not count."""
    start = time.process_time()
    run()
    return images / (time.process_time() - start)


def measure(width: int, height: int, count: int, rounds: int) -> list[dict[str, object]]:
    """Both epochs of ours and the peer, in turn, `rounds` times."""
    first, second, peer = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        draw_photos(root / "train", count, width, height)
        draw_photos(root / "val", 2, width, height)
        dataset = open_dataset(root, check_files=False)
        classic_epoch(dataset)  # warms the page cache and the decoders for both
        for number in range(rounds):
            os.environ["CONVLENS_CACHE"] = str(root / f"cache {number}")
            loader = Loader(dataset, "train", IMAGENET, batch_size=BATCH, augmentation=CROPS, workers=0)
            first.append(rate(lambda loader=loader: our_epoch(loader, 0), count))
            peer.append(rate(lambda: classic_epoch(dataset), count))
            second += [rate(lambda loader=loader, e=e: our_epoch(loader, e), count) for e in (1, 2)]
            peer.append(rate(lambda: classic_epoch(dataset), count))
    theirs = statistics.median(peer)
    return [
        {
            "what": f"{width}×{height} JPEG, {name}",
            "ours": round(statistics.median(ours), 1),
            "peer": round(theirs, 1),
            "unit": "images/s per core",
            "ratio": round(statistics.median(ours) / theirs, 2),
        }
        for name, ours in (("first epoch", first), ("later epochs", second))
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer images and rounds, under a minute")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rounds = 3 if options.quick else 7
    rows = measure(500, 375, 64 if options.quick else 256, rounds)
    rows += measure(1600, 1200, 32 if options.quick else 128, rounds)
    if options.json:
        json.dump({"rows": rows}, sys.stdout, indent=2, ensure_ascii=False)
        print()
    else:
        for row in rows:
            print(f"{row['what']:<32} ours {row['ours']:>8} {row['unit']}, peer {row['peer']:>7}: {row['ratio']:.2f} ×")
    return 0


if __name__ == "__main__":
    sys.exit(main())
