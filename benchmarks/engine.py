"""The engine beside the fastest public runtime, in turns, in one process: milliseconds a call, and their ratio.

    python benchmarks/engine.py --quick
    python benchmarks/engine.py efficientnet_b0 resnet50 --precision bfloat16 --threads 2 --batch 16 --json

Each round calls every runtime once, each beginning another round; the ratio is the median over rounds of the best
peer's time in that round to ours. The share is that of the multiply-adds a second that one core reaches in registers,
times the threads. The error is the relative L2 distance of the scores from those in float64, on 16 images.
"""

import argparse
import json
import statistics
import sys
import time
from importlib.metadata import version

import convlens_kernels as kernels
import numpy as np
import torch

from convlens import engine, networks
from convlens.artifacts import FORMATS
from convlens.classifiers import resolve
from convlens.processors import processor_name

QUICK = ("resnet50", "efficientnet_b0", "vgg16")
PEERS = {"onnxruntime": "onnx", "openvino": "openvino"}


def peers(classifier, precision, threads):
    """Runtime -> a function from images to answers, for those that know the precision."""
    made, onnx = {}, FORMATS["onnx"].open(writing=True)
    model = onnx.translate(classifier.network, classifier.preprocessing, "float32")
    manifest = classifier.manifest(precision)
    if precision == "float32":
        made["onnxruntime"] = onnx.engine(model, manifest, "onnxruntime", threads)
    from convlens.artifacts import openvino_graph

    made["openvino"] = FORMATS["openvino"].open().engine(openvino_graph.from_onnx(model), manifest, "openvino", threads)
    return made


def measure(calls, seconds, least):
    """Rounds of turns: runtime -> the seconds of each round."""
    names, taken = list(calls), {name: [] for name in calls}
    for call in calls.values():
        call()
        call()
    begin = time.perf_counter()
    while len(taken[names[0]]) < least or time.perf_counter() - begin < seconds:
        first = len(taken[names[0]]) % len(names)
        for name in (*names[first:], *names[:first]):
            start = time.perf_counter()
            calls[name]()
            taken[name].append(time.perf_counter() - start)
    return taken


def error(classifier, calls, images=16):
    """Relative L2 distance of the logarithms of the answers from those in float64, less their mean."""
    channels, height, width = classifier.image_shape
    x = np.random.default_rng(1).normal(size=(images, channels, height, width)).astype(np.float32)
    with torch.inference_mode():
        expected = classifier.network.double()(torch.from_numpy(x).double()).numpy()
    classifier.network.float()
    expected -= expected.mean(1, keepdims=True)
    found = {}
    for name, call in calls.items():
        scores = np.log(np.maximum(call(x), 1e-38).astype(np.float64))
        scores -= scores.mean(1, keepdims=True)
        found[name] = float(np.linalg.norm(scores - expected) / np.linalg.norm(expected))
    return found


def compare(name, precision, threads, batch, seconds, least, with_error):
    """One row."""
    classifier = resolve(name)
    compiled = engine.compile(classifier.network, classifier.image_shape, precision=precision, threads=threads)
    channels, height, width = classifier.image_shape
    x = np.random.default_rng(0).normal(size=(batch, channels, height, width)).astype(np.float32)
    others = peers(classifier, precision, threads)
    calls = {"engine": lambda: compiled(x)} | {key: (lambda run=run: run(x)) for key, run in others.items()}
    taken = measure(calls, seconds, least)
    best = [min(taken[key][i] for key in others) for i in range(len(taken["engine"]))]
    ratio = statistics.median(peer / ours for peer, ours in zip(best, taken["engine"], strict=True))
    macs = sum(step.macs for step in compiled.plan.steps) * batch
    ours = statistics.median(taken["engine"])
    row = {
        "what": f"{name} {precision} {threads} thread(s) batch {batch}",
        "ours": round(ours * 1e3, 3),
        "peer": round(statistics.median(best) * 1e3, 3),
        "unit": "ms",
        "ratio": round(ratio, 3),
        "peers": {key: round(statistics.median(taken[key]) * 1e3, 3) for key in others},
        "share": round(macs / ours / (kernels.measure_peak(precision) * threads), 3),
    }
    if with_error:
        row["error"] = error(classifier, {"engine": _probabilities(compiled)} | others)
    return row


def _probabilities(compiled):
    def call(x):
        scores = compiled(x).astype(np.float64)
        powers = np.exp(scores - scores.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)

    return call


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", help="names of the catalogue; a selection if none are given")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=8.0, help="of timing for each row")
    parser.add_argument("--error", action="store_true", help="also compare the answers with float64")
    parser.add_argument("--quick", action="store_true", help="three networks, a few rounds")
    parser.add_argument("--smoke", action="store_true", help="one small network, to see that it runs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    chosen = options.networks or (("lenet5",) if options.smoke else QUICK if options.quick else networks.names())
    seconds, least = (0.1, 3) if options.smoke else (2.0, 5) if options.quick else (options.seconds, 9)
    torch.set_num_threads(1)
    rows = []
    for name in chosen:
        row = compare(name, options.precision, options.threads, options.batch, seconds, least, options.error)
        rows.append(row)
        if not options.json:
            beside = ", ".join(f"{key} {ms:g}" for key, ms in row["peers"].items())
            print(
                f"{row['what']}: {row['ours']} ms, {beside}: {row['ratio']}x, {row['share']:.0%} of the peak",
                flush=True,
            )
            if "error" in row:
                print("  error: " + ", ".join(f"{key} {value:.1e}" for key, value in row["error"].items()))
    versions = {name: version(name) for name in ("convlens-kernels", "onnxruntime", "openvino", "torch")}
    if options.json:
        print(json.dumps({"rows": rows, "machine": processor_name(), "isa": kernels.isa(), "versions": versions}))
    else:
        print(f"{processor_name()}, {kernels.isa()}; {', '.join(f'{k} {v}' for k, v in versions.items())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
