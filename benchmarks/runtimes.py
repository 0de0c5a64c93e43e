"""Latency of a network as Convlens runs it at its fastest, against plain eager PyTorch and plain ONNX Runtime.

Ours is the fastest of the float32 artifacts that `convlens.load(..., runtime="auto")` chooses among. The peers are what
people write by hand: the module called in inference mode, default memory format; and the file that torch.onnx.export
writes with its defaults, in an ONNX Runtime session with its defaults but for the threads. All take turns.

usage: runtimes.py [--quick] [--json] [--networks lenet5,resnet18] [--batch N] [--threads N]
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import convlens
from convlens import networks, shipping
from convlens.artifacts import FORMATS
from convlens.artifacts.program import quiet_export
from convlens.predicting.measuring import interleave
from convlens.predicting.runtimes import RUNTIMES
from convlens.predicting.untracked import untracked

SIDES = {"lenet5": 32, "resnet20": 32}
SIDE = 224


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two small networks, under a minute")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--networks", default="lenet5,resnet20,resnet18,resnet50,efficientnet_b0")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    names = ["lenet5", "resnet20"] if asked.quick else asked.networks.split(",")
    rows = [row for name in names for row in measured(name, asked.batch, asked.threads, 0.5 if asked.quick else 4.0)]
    if asked.json:
        print(json.dumps({"rows": rows}))
        return
    print(f"{'what':52} {'ours ms':>9} {'peer ms':>9} {'ratio':>6}")
    for row in rows:
        print(f"{row['what']:52} {row['ours']:9.3f} {row['peer']:9.3f} {row['ratio']:6.2f}")


def measured(name: str, batch: int, threads: int, seconds: float) -> list[dict[str, object]]:
    """One row a peer: the fastest call of each counts, so that other work on the machine slows none."""
    side = SIDES.get(name, SIDE)
    torch.manual_seed(0)
    network = networks.create(name, size=(side, side)).eval()
    x = np.random.default_rng(0).normal(size=(batch, networks.card(name).channels, side, side)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        ours = ours_on_each_runtime(name, side, Path(folder), threads)
        peers = {"eager PyTorch": eager(network), "plain ONNX Runtime": plain_onnx(network, x, threads)}
        timings = interleave(
            {who: partial(call, x) for who, call in {**ours, **peers}.items()}, seconds=seconds * (len(ours) + 2)
        )
    chosen = min(ours, key=lambda runtime: timings[runtime].best)
    best = timings[chosen].best
    return [
        {
            "what": f"{name}, batch {batch}: {chosen} against {peer}",
            "ours": best,
            "peer": timings[peer].best,
            "unit": "ms",
            "ratio": timings[peer].best / best,
        }
        for peer in peers
    ]


Call = Callable[[NDArray[np.float32]], object]


def ours_on_each_runtime(name: str, side: int, folder: Path, threads: int) -> dict[str, Call]:
    """The artifacts that Convlens writes, each on its own runtime."""
    calls: dict[str, Call] = {}
    for to, runtime in (("safetensors", "torch"), ("onnx", "onnxruntime"), ("openvino", "openvino")):
        if RUNTIMES[runtime].installed:
            written = shipping.export(name, to, out=folder / f"net{FORMATS[to].suffixes[0]}", size=(side, side))
            calls[runtime] = convlens.load(written.path, threads=threads).probabilities
    return calls


def eager(network: torch.nn.Module) -> Call:
    def call(x: NDArray[np.float32]) -> object:
        with torch.inference_mode():
            return torch.softmax(network(torch.from_numpy(x)), dim=1).numpy()

    return call


def plain_onnx(network: torch.nn.Module, x: NDArray[np.float32], threads: int) -> Call:
    onnxruntime = untracked("onnxruntime")

    with quiet_export():
        program = torch.onnx.export(network, (torch.from_numpy(x),), dynamo=True, verbose=False, input_names=["x"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    content = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})


if __name__ == "__main__":
    main()
