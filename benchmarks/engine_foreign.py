"""timm's convolutional networks on the engine: which run, how far their scores are from those in float64, how fast.

    python benchmarks/engine_foreign.py --quick
    python benchmarks/engine_foreign.py regnety_008 convnext_atto --size 224

The peer is PyTorch on the same module, in turns with the engine, one thread, one image. The error is the relative L2
distance of the scores of four images from PyTorch's in float64; more than 1e-5 is a failure, and so is a refusal.
Networks have random weights and random statistics of their norms. Without timm nothing is measured.
"""

import argparse
import json
import statistics
import sys
import time
from importlib.util import find_spec

import numpy as np
import torch
from finetune import stand_in_for_torchvision
from torch import nn

import convlens

LARGEST_ERROR = 1e-5
QUICK = ("mobilenetv3_small_050", "regnety_002", "ghostnet_050", "tinynet_e")
NETWORKS = (
    "mobilenetv2_050", "mobilenetv3_small_075", "mobilenetv3_large_100", "mnasnet_050", "fbnetc_100",
    "spnasnet_100", "hardcorenas_a", "tinynet_e", "efficientnet_b0", "tf_efficientnetv2_b0", "mixnet_s",
    "lcnet_050", "rexnet_100", "ghostnet_100", "regnetx_002", "regnety_002", "resnet18", "resnet26d",
    "seresnet18", "resnext26ts", "resnext50_32x4d", "res2net50_26w_4s", "resnest14d", "dla34", "dla46x_c",
    "densenet121", "inception_v3", "xception41", "hrnet_w18_small", "convnext_atto", "repvgg_a0", "mobileone_s0",
    "vgg11_bn", "darknet17", "cspresnet50", "dpn48b", "selecsls42", "vovnet39a", "semnasnet_075",
)  # fmt: skip


def main() -> int:
    """Run them all; exit code 1 if one is refused or too far off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help="names of timm; a selection if none are given")
    parser.add_argument("--size", type=int, default=128, help="height and width of the images")
    parser.add_argument("--seconds", type=float, default=1.0, help="of timing for each network")
    parser.add_argument("--quick", action="store_true", help="four small networks")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if find_spec("timm") is None or find_spec("convlens_kernels") is None:
        print(json.dumps({"rows": []}) if options.json else "timm or convlens-kernels is not installed: nothing to do")
        return 0
    stand_in_for_torchvision()
    torch.set_num_threads(1)
    rows = []
    for name in options.networks or (QUICK if options.quick else NETWORKS):
        row = compare(name, options.size, 0.2 if options.quick else options.seconds)
        rows.append(row)
        if not options.json:
            print(as_line(row), flush=True)
    good = [row for row in rows if row["error"] is not None and row["error"] <= LARGEST_ERROR]
    if options.json:
        print(json.dumps({"rows": rows}))
    else:
        print(f"{len(good)} of {len(rows)} run with an error of at most {LARGEST_ERROR:g}")
    return 0 if len(good) == len(rows) else 1


def compare(name: str, size: int, seconds: float) -> dict:
    """One network: its error and its time beside PyTorch's, or why it is refused."""
    import timm

    torch.manual_seed(0)
    module = timm.create_model(name, pretrained=False).eval()
    randomise(module)
    row = {"what": name, "ours": None, "peer": None, "unit": "ms", "ratio": None, "error": None, "refused": ""}
    try:
        compiled = convlens.compile(module, (3, size, size), threads=1, tune=False)
    except convlens.ConvlensError as error:
        return row | {"refused": str(error)}
    x = torch.randn(4, 3, size, size)
    with torch.inference_mode():
        expected = module.double()(x.double()).numpy()
        module.float()
    row["error"] = float(np.linalg.norm(compiled(x.numpy()) - expected) / np.linalg.norm(expected))
    one = x[:1]
    taken = in_turns(lambda: compiled(one.numpy()), lambda: module(one), seconds)
    ours, peer = (statistics.median(times) * 1e3 for times in taken)
    ratio = statistics.median(theirs / own for own, theirs in zip(*taken, strict=True))
    return row | {"ours": round(ours, 3), "peer": round(peer, 3), "ratio": round(ratio, 3)}


def randomise(module: nn.Module) -> None:
    """Norms that do something, and branches that an initialisation of zero would hide."""
    for each in module.modules():
        if isinstance(each, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(each.weight, 0.5, 1.0)
            nn.init.normal_(each.bias, std=0.1)
            each.running_mean.normal_(std=0.1)
            each.running_var.uniform_(0.5, 1.5)


@torch.inference_mode()
def in_turns(ours, theirs, seconds: float) -> tuple[list[float], list[float]]:
    """Seconds of each call of both, in pairs."""
    taken: tuple[list[float], list[float]] = ([], [])
    calls = (ours, theirs)
    for call in calls:
        call()
    begin = time.perf_counter()
    while len(taken[0]) < 5 or time.perf_counter() - begin < seconds:
        for call, times in zip(calls, taken, strict=True):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return taken


def as_line(row: dict) -> str:
    """For reading."""
    if row["refused"]:
        return f"{row['what']:24} refused: {row['refused']}"
    times = f"{row['ours']:8.2f} ms, PyTorch {row['peer']:8.2f} ms: {row['ratio']:.2f}x"
    return f"{row['what']:24} error {row['error']:.1e}, {times}"


if __name__ == "__main__":
    sys.exit(main())
