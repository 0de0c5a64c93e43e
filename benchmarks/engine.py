"""The engine beside the fastest public runtime, in turns, in one process: milliseconds a call, and their ratio.

    python benchmarks/engine.py --quick
    python benchmarks/engine.py efficientnet_b0 resnet50 --precision bfloat16 --threads 2 --batch 16 --json
    python benchmarks/engine.py efficientnet_b0 resnet50 --precision int8 --error
    python benchmarks/engine.py efficientnet_b0 --isa avx2         # the peer is held to the same instruction set
    python benchmarks/engine.py efficientnet_b0 --memory           # of a process that answers, above its imports

Each round calls every runtime once, each beginning another round; the ratio is the median over rounds of the best
peer's time in that round to ours. The share is that of the multiply-adds a second that one core reaches in registers,
times the threads. Weights are the initial ones, and batch norms have seen four images. The error is the relative L2
distance of the scores from those in float64, on 16 images. int8 is calibrated on the same images on both sides; the
peers' is NNCF's. ncnn is a peer in float32 where it and pnnx, which converts for it and takes its time, are installed,
but for --quick. With --isa only OpenVINO is a peer: no other can be held back.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from importlib.util import find_spec

import convlens_kernels as kernels
import numpy as np
import torch

from convlens import engine, networks
from convlens.artifacts import FORMATS
from convlens.classifiers import resolve
from convlens.processors import processor_name

QUICK = ("resnet50", "efficientnet_b0", "vgg16")
CALIBRATION_IMAGES = 16
ISAS = {"avx2": "AVX2", "avx512": "AVX512_CORE"}  # ours, and oneDNN's, which OpenVINO computes with


def peers(classifier, precision, threads, calibration, with_ncnn):
    """Runtime -> a function from images to answers, for those that know the precision."""
    from convlens.artifacts import openvino_graph
    from convlens.shipping.quantising import quantise_for_speed

    made, onnx = {}, FORMATS["onnx"].open(writing=True)
    model = onnx.translate(classifier.network, classifier.preprocessing, "float32")
    graph = openvino_graph.from_onnx(model)
    if precision == "int8":
        graph = quantise_for_speed(graph, calibration)
    manifest = classifier.manifest(precision)
    made["openvino"] = FORMATS["openvino"].open().engine(graph, manifest, "openvino", threads)
    if "ONEDNN_MAX_CPU_ISA" in os.environ:
        return made
    if precision != "bfloat16":
        model = quantise_for_speed(model, calibration) if precision == "int8" else model
        made["onnxruntime"] = onnx.engine(model, manifest, "onnxruntime", threads)
    if with_ncnn and precision == "float32" and find_spec("ncnn") and find_spec("pnnx"):
        made["ncnn"] = on_ncnn(classifier, threads)
    return made


def on_ncnn(classifier, threads):
    """The network on ncnn in float32, one image after the other, as ncnn takes them."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    for shortcut in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, shortcut, False)
    with tempfile.TemporaryDirectory() as folder:
        convert = [sys.executable, __file__, "--convert-for-ncnn", classifier.network_name, "--into", folder]
        subprocess.run(convert, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
        net.load_param(f"{folder}/m.ncnn.param")
        net.load_model(f"{folder}/m.ncnn.bin")

    def call(x):
        answers = []
        for image in x:
            extractor = net.create_extractor()
            extractor.input("in0", ncnn.Mat(image))
            answers.append(np.array(extractor.extract("out0")[1]))
        powers = np.exp(np.stack(answers) - np.max(answers, axis=1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)

    return call


def convert_for_ncnn(name, folder):
    """Write m.ncnn.param and m.ncnn.bin; pnnx talks a lot, and leaves files where it stands."""
    import pnnx

    classifier = resolve(name)
    settle(classifier)
    pnnx.export(classifier.network, f"{folder}/m.pt", torch.zeros(1, *classifier.image_shape), fp16=False)


def noise(classifier, images, seed):
    """Images (N, C, H, W) like preprocessed ones."""
    return np.random.default_rng(seed).normal(size=(images, *classifier.image_shape)).astype(np.float32)


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


def settle(classifier):
    """Give batch norms the statistics of what comes, as training does: or a deep network answers all images alike."""
    torch.manual_seed(0)
    norms = [module for module in classifier.network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all that it sees
    with torch.inference_mode():
        classifier.network.train()(torch.from_numpy(noise(classifier, 4, 3)))
    classifier.network.eval()


def error(classifier, calls, images=16):
    """Relative L2 distance of the logarithms of the answers from those in float64, less their mean."""
    x = noise(classifier, images, 1)
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


def compare(name, precision, threads, batch, seconds, least, with_error, with_ncnn):
    """One row."""
    classifier = resolve(name)
    settle(classifier)
    calibration = noise(classifier, CALIBRATION_IMAGES, 2)
    settings = {"precision": precision, "threads": threads}
    settings |= {"calibration": calibration} if precision == "int8" else {}
    compiled = engine.compile(classifier.network, classifier.image_shape, **settings)
    x = noise(classifier, batch, 0)
    others = peers(classifier, precision, threads, calibration, with_ncnn)
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


ANSWERING = """
import json, sys, numpy as np
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
path, shape = sys.argv[1], json.loads(sys.argv[2])
x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
{imports}
before = resident()
{load}
for _ in range(5):
    answer(x)
print((resident() - before) / 1e6)
"""
OURS = {"imports": "import convlens_kernels", "load": "answer = convlens_kernels.read_plan(path).program()"}
OPENVINO = {
    "imports": "import openvino; core = openvino.Core()",
    "load": """compiled = core.compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1})
answer = lambda x: compiled(x)[0]""",
}


def memory(name, precision):
    """One row: megabytes of processes that answer one image at a time from a file, above their imports."""
    classifier = resolve(name)
    calibration = noise(classifier, CALIBRATION_IMAGES, 2)
    settings = {"precision": precision, "threads": 1}
    settings |= {"calibration": calibration} if precision == "int8" else {}
    plan = engine.compile(classifier.network, classifier.image_shape, **settings).plan
    with tempfile.TemporaryDirectory() as folder:
        from convlens.artifacts import openvino_graph
        from convlens.shipping.quantising import quantise_for_speed

        kernels.write_plan(f"{folder}/a.plan", plan.description, plan.constants, {})
        model = FORMATS["onnx"].open(writing=True).translate(classifier.network, classifier.preprocessing, "float32")
        graph = openvino_graph.from_onnx(model)
        import openvino

        graph = quantise_for_speed(graph, calibration) if precision == "int8" else graph
        openvino.save_model(graph, f"{folder}/a.xml", compress_to_fp16=False)
        ours, peer = (
            _megabytes(ANSWERING.format(**code), f"{folder}/{file}", (1, *classifier.image_shape))
            for code, file in ((OURS, "a.plan"), (OPENVINO, "a.xml"))
        )
    what = f"{name} {precision} memory above the imports"
    row = {"what": what, "ours": round(ours, 1), "peer": round(peer, 1), "unit": "MB", "ratio": round(peer / ours, 3)}
    return row | {"peers": {"openvino": round(peer, 1)}}


def _megabytes(code, path, shape):
    done = subprocess.run([sys.executable, "-c", code, path, json.dumps(shape)], check=True, capture_output=True)
    return float(done.stdout.split()[-1])


def _probabilities(compiled):
    def call(x):
        scores = compiled(x).astype(np.float64)
        powers = np.exp(scores - scores.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)

    return call


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", help="names of the catalogue; a selection if none are given")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16", "int8"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=8.0, help="of timing for each row")
    parser.add_argument("--error", action="store_true", help="also compare the answers with float64")
    parser.add_argument("--quick", action="store_true", help="three networks, a few rounds")
    parser.add_argument("--smoke", action="store_true", help="one small network, to see that it runs")
    parser.add_argument("--isa", choices=sorted(ISAS), help="hold both sides to a lower instruction set")
    parser.add_argument("--memory", action="store_true", help="measure megabytes instead of milliseconds")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--convert-for-ncnn", help=argparse.SUPPRESS)
    parser.add_argument("--into", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.convert_for_ncnn:
        convert_for_ncnn(options.convert_for_ncnn, options.into)
        return 0
    if options.isa and "ONEDNN_MAX_CPU_ISA" not in os.environ:  # both are read when a process begins
        held = {"CONVLENS_ISA": options.isa, "ONEDNN_MAX_CPU_ISA": ISAS[options.isa]}
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | held)
    chosen = options.networks or (("lenet5",) if options.smoke else QUICK if options.quick else networks.names())
    seconds, least = (0.1, 3) if options.smoke else (2.0, 5) if options.quick else (options.seconds, 9)
    torch.set_num_threads(1)
    rows = []
    for name in chosen:
        if options.memory:
            row = memory(name, options.precision)
        else:
            with_ncnn = not (options.quick or options.smoke)
            settings = (options.precision, options.threads, options.batch, seconds, least, options.error, with_ncnn)
            row = compare(name, *settings)
        rows.append(row)
        if options.memory and not options.json:
            print(f"{row['what']}: {row['ours']} MB, openvino {row['peer']} MB: {row['ratio']}x", flush=True)
        elif not options.json:
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
