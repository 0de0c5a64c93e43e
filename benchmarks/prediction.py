"""Predicted latency beside measured latency, on networks that nothing was calibrated on.

    python benchmarks/prediction.py [--quick] [--json] [--calibrate]

The calibration measures rows of layers that are drawn at random; none of the networks below is among them. Each is
predicted from its graph, then run as `predicting.torch_predictor` runs it: PyTorch, one core, float32, channels last.
Time is processor time of the one thread. A network's time is the median of its calls; the shortest is beside it, which
is nearer to what it takes on a machine where others work, too. Those of timm are left out, and said, where timm is
missing (pip install --no-deps timm). The anchor is nn-Meter (Zhang et al., 2021, abstract): within 10 % of the time of
99 % of the networks on a mobile processor.

--quick takes six networks and a calibration of 30 rows that is not kept; otherwise the machine's own is used, and made
if there is none.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import torch
from finetune import stand_in_for_torchvision
from torch import nn

import convlens
from convlens.calibrating import Calibration, NotCalibratedError, calibrate, calibration, predicted_latency

OURS = (
    "alexnet",
    "vgg11_bn",
    "googlenet",
    "resnet18",
    "resnet50",
    "mobilenet_v2",
    "efficientnet_b0",
    "efficientnet_b2",
    "efficientnet_lite0",
    "resnet56",
)
TIMMS = (
    "regnetx_002",
    "regnety_008",
    "mobilenetv3_large_100",
    "mnasnet_100",
    "densenet121",
    "resnext50_32x4d",
    "ghostnet_100",
    "dla34",
    "seresnet50",
    "mobilenetv4_conv_small",
    "repvgg_a0",
    "tf_efficientnetv2_b0",
    "lcnet_100",
    "darknet53",
    "vovnet39a",
    "convnext_atto",
    "starnet_s1",
    "inception_v3",
)
QUICK = ("resnet18", "mobilenet_v2", "efficientnet_b0", "resnet56", "timm lcnet_100", "timm regnetx_002")
GOALS = {"median": 0.10, "p90": 0.25}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="six networks, a small calibration; under a minute")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--calibrate", action="store_true", help="calibrate anew")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    begin = time.perf_counter()
    known = calibrated(asked.quick, asked.calibrate)
    seconds = time.perf_counter() - begin
    results = [compared(name, known, 0.5 if asked.quick else 2.0) for name in chosen(asked.quick)]
    if asked.json:
        print(json.dumps({"rows": [row for each in results for row in rows(each)], "summary": summary(results)}))
        return
    print(
        f"{known.layers:,} layers, {seconds:.0f} s; left out: "
        + ", ".join(f"{family} {each.left_out.median:.0%}" for family, each in known.regressions.items())
    )
    print(f"{'network':30}{'predicted':>10}{'median':>9}{'shortest':>9}{'error':>8}{'':>4}unknown")
    for each in results:
        print(
            f"{each['network']:30}{each['predicted']:10.2f}{each['median']:9.2f}{each['shortest']:9.2f}"
            f"{each['error']:+8.1%}    {each['unknown']}"
        )
    for what, told in summary(results).items():
        print(
            f"{what}: median error {told['median']:.1%}, 90th percentile {told['p90']:.1%} of {len(results)} networks"
        )
    print(f"goals: median {GOALS['median']:.0%}, 90th percentile {GOALS['p90']:.0%}")


def calibrated(quick: bool, anew: bool) -> Calibration:
    if quick:
        from convlens.calibrating.kept_calibration import measure

        return measure(30, seconds=10.0, seed=0, on_note=None)
    try:
        return calibrate() if anew else calibration()
    except NotCalibratedError:
        return calibrate()


def chosen(quick: bool) -> list[str]:
    there = find_spec("timm") is not None
    if not there:
        print("timm is missing: its networks are left out", file=sys.stderr)
    names = QUICK if quick else (*OURS, *(f"timm {name}" for name in TIMMS))
    return [name for name in names if there or not name.startswith("timm ")]


def build(name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    """The network in evaluation mode, and the shape of its images."""
    if name.startswith("timm "):
        stand_in_for_torchvision()
        import timm

        return timm.create_model(name.removeprefix("timm "), pretrained=False).eval(), (3, 224, 224)
    card = convlens.networks.card(name)
    return convlens.create(name).eval(), (card.channels, *card.input_size)


def compared(name: str, known: Calibration, seconds: float) -> dict[str, object]:
    network, shape = build(name)
    told = predicted_latency(network, shape, using=known)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x_NCHW = torch.randn(1, *shape).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        network(x_NCHW)
        taken = list(timed(network, x_NCHW, seconds))
    return {
        "network": f"{name} at {shape[1]}",
        "predicted": told.milliseconds,
        "median": median(taken),
        "shortest": min(taken),
        "error": told.milliseconds / median(taken) - 1,
        "error_of_shortest": told.milliseconds / min(taken) - 1,
        "unknown": told.unknown_text,
    }


def timed(network: nn.Module, x_NCHW: torch.Tensor, seconds: float) -> Iterator[float]:
    """Milliseconds of processor time of each call, at least seven."""
    end, calls = time.perf_counter() + seconds, 0
    while calls < 7 or time.perf_counter() < end:
        begin = time.thread_time()
        network(x_NCHW)
        yield (time.thread_time() - begin) * 1000
        calls += 1


def rows(each: dict[str, object]) -> list[dict[str, object]]:
    measured, told = float(str(each["median"])), float(str(each["predicted"]))
    return [{"what": each["network"], "ours": told, "peer": measured, "unit": "ms", "ratio": told / measured}]


def summary(results: list[dict[str, object]]) -> dict[str, dict[str, float]]:
    found = {}
    for what, key in (("against the median call", "error"), ("against the shortest call", "error_of_shortest")):
        errors = np.abs([float(str(each[key])) for each in results])
        found[what] = {"median": float(np.median(errors)), "p90": float(np.quantile(errors, 0.9))}
    return found


if __name__ == "__main__":
    main()
