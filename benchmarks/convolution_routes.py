"""The same convolution by every route: time, multiplications and rounding error, beside torch in the same run.

    python benchmarks/convolution_routes.py [--quick] [--json]

The routes are NumPy to be read, so torch should win; what the table is for is how the routes compare with each other,
and how much precision each costs. The error is the largest difference from the sum in float64, in units of the root
mean square of the output, on normally distributed inputs and kernels.
"""

import argparse
import json
import os
import statistics
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from convlens.arithmetic import conv2d
from convlens.arithmetic.routes import ROUTES, multiplications

# (in channels, out channels, kernel, image): a 3×3 layer in the middle of a network, a wide first layer, a large kernel
LAYERS = ((64, 64, 3, 56), (3, 64, 7, 112), (16, 16, 31, 64))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, under a minute")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for layer in LAYERS for row in measured(*layer, repetitions=3 if asked.quick else 9)]
    if asked.json:
        print(json.dumps({"rows": rows}))
        return
    titles = " ".join(f"{title:>9}" for title in ("ours ms", "torch ms", "ratio", "M mult.", "float32", "float16"))
    print(f"{'layer and route':34} {titles}")
    for row in rows:
        errors = " ".join(f"{row[name]:9.1e}" for name in ("error_float32", "error_float16"))
        timing = f"{row['ours']:9.1f} {row['peer']:9.1f} {row['ratio']:9.2f}"
        print(f"{row['what']:34} {timing} {row['multiplications'] / 1e6:9.1f} {errors}")


def measured(in_channels: int, out_channels: int, kernel: int, size: int, repetitions: int) -> list[dict[str, object]]:
    """One row a route: the routes and torch take turns, so that they share the machine's bad moments."""
    numbers = np.random.default_rng(0)
    x = numbers.normal(size=(1, in_channels, size, size)).astype(np.float32)
    weight = numbers.normal(size=(out_channels, in_channels, kernel, kernel)).astype(np.float32)
    exact = conv2d(x.astype(np.float64), weight.astype(np.float64))
    names = [name for name in ROUTES if kernel == 3 or not name.startswith("winograd")]
    tensors = torch.from_numpy(x), torch.from_numpy(weight)
    times: dict[str, list[float]] = {name: [] for name in [*names, "torch"]}
    for _ in range(repetitions):
        for name in names:
            times[name].append(seconds(lambda name=name: ROUTES[name](x, weight)))
        times["torch"].append(seconds(lambda: torch.nn.functional.conv2d(*tensors)))
    peer = statistics.median(times["torch"])
    layer = f"{in_channels}→{out_channels}, {kernel}×{kernel}, {size}×{size}"
    return [
        {
            "what": f"{layer}: {name}",
            "ours": statistics.median(times[name]) * 1e3,
            "peer": peer * 1e3,
            "unit": "ms, float32, one thread; peer is torch's conv2d",
            "ratio": peer / statistics.median(times[name]),
            "multiplications": multiplications(name, in_channels, out_channels, (kernel, kernel), exact.shape[2:]),
            "error_float32": error(name, x, weight, exact),
            "error_float16": error(name, *small(x, weight)),
        }
        for name in names
    ]


def seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def error(name: str, x: np.ndarray, weight: np.ndarray, exact: np.ndarray) -> float:
    """Largest difference from the exact sum, in units of its root mean square."""
    y = ROUTES[name](x, weight).astype(np.float64)
    return float(np.abs(y - exact).max() / np.sqrt((exact**2).mean()))


def small(x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A corner of the problem in half precision (NumPy is slow there), with its own exact sum."""
    edge = weight.shape[2] + 11
    x16, weight16 = x[:, :, :edge, :edge].astype(np.float16), weight[:8].astype(np.float16)
    return x16, weight16, conv2d(x16.astype(np.float64), weight16.astype(np.float64))


if __name__ == "__main__":
    main()
