"""Inspecting a network: time, memory, and what is counted, beside torchinfo and fvcore on the same networks.

    python benchmarks/inspection.py [--quick] [--json]

Each measurement is a process of its own: torch is imported first, and only what comes after counts, importing the tool
included. Time is processor time of one thread, so that other work on the machine does not count; memory is the highest
resident size above that after the import of torch. Ours gives MACs, memory and the receptive field of every module. The
peers run twice, as their users run them (real weights, real arithmetic) and on the meta device.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

NETWORKS = (("efficientnet_b7", 600), ("resnet50", 224), ("googlenet", 224), ("vgg16", 224))
TOOLS = ("convlens", "torchinfo", "torchinfo meta", "fvcore", "fvcore meta")
GOALS = {"seconds": 3.0, "megabytes": 300.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two networks, one repetition, under a minute")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--one", nargs=3, metavar=("TOOL", "NETWORK", "SIZE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one[0], asked.one[1], int(asked.one[2]))))
        return
    chosen = NETWORKS[:2] if asked.quick else NETWORKS
    results = [compared(name, size, TOOLS, 1 if asked.quick else 3) for name, size in chosen]
    if asked.json:
        print(json.dumps({"rows": [row for each in results for row in rows(each)]}))
    else:
        for each in results:
            show(each)


def compared(name: str, size: int, tools: tuple[str, ...], repetitions: int) -> dict[str, object]:
    """All tools on one network, taking turns."""
    found: dict[str, list[dict[str, object]]] = {tool: [] for tool in tools}
    for _ in range(repetitions):
        for tool in tools:
            command = [sys.executable, str(Path(__file__).resolve()), "--one", tool, name, str(size)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            failure = {"failed": (done.stderr.strip().splitlines() or ["killed"])[-1][:120]}
            found[tool].append(json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else failure)
    return {"what": f"{name} at {size}", "tools": {tool: middle(runs) for tool, runs in found.items()}}


def middle(runs: list[dict[str, object]]) -> dict[str, object]:
    """The run with the median of the numbers that vary."""
    if any("failed" in run for run in runs):
        return next(run for run in runs if "failed" in run)
    numbers = {key: statistics.median(float(str(run[key])) for run in runs) for key in ("seconds", "megabytes")}
    return {**runs[0], **numbers}


def measure(tool: str, name: str, size: int) -> dict[str, object]:
    """In this process: build the network, inspect it, and tell what that took."""
    import resource
    import time

    import torch

    torch.set_num_threads(1)
    before = resident()
    start = time.process_time()
    import convlens

    device = "cpu" if tool in ("torchinfo", "fvcore") else "meta"
    with torch.device(device):
        network = convlens.create(name).eval()
    look = {"convlens": ours, "torchinfo": torchinfo, "fvcore": fvcore}[tool.split()[0]]
    told = look(network, (3, size, size), device)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "megabytes": peak - before, **told}


def resident() -> float:
    """Resident megabytes now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def ours(network: object, size: tuple[int, ...], _device: str) -> dict[str, object]:
    import convlens

    sheet = convlens.inspect(network, size)
    fields = [sheet.field_of(call.path) for call in sheet.graph.calls]
    known = sum(field is not None for field in fields)
    return {
        "parameters": sheet.parameters,
        "macs": sheet.macs,
        "missed": sorted(sheet.not_counted),
        "extras": f"{known} receptive fields, peak memory {sheet.peak_memory / 1e6:.0f} MB",
    }


def torchinfo(network: object, size: tuple[int, ...], device: str) -> dict[str, object]:
    from torchinfo import summary

    sheet = summary(network, input_size=(1, *size), verbose=0, device=device)
    return {"parameters": sheet.total_params, "macs": int(sheet.total_mult_adds), "missed": ["functions"], "extras": ""}


def fvcore(network: object, size: tuple[int, ...], device: str) -> dict[str, object]:
    import torch
    from fvcore.nn import FlopCountAnalysis, parameter_count

    analysis = FlopCountAnalysis(network, torch.zeros(1, *size, device=device))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    macs = int(analysis.total())
    missed = sorted(analysis.unsupported_ops())
    return {"parameters": parameter_count(network)[""], "macs": macs, "missed": missed, "extras": ""}


def rows(result: dict[str, object]) -> list[dict[str, object]]:
    """Time and memory against each peer, and against the goals of the issue for the first network."""
    tools = result["tools"]
    assert isinstance(tools, dict)
    own, found = tools["convlens"], []
    for unit in ("seconds", "megabytes"):
        peers = [(tool, run[unit]) for tool, run in tools.items() if tool != "convlens" and unit in run]
        if str(result["what"]).startswith("efficientnet_b7"):
            peers.append(("goal", GOALS[unit]))
        for tool, peer in peers:
            what = f"{result['what']}, {unit} beside {tool}"
            ratio = peer / own[unit]
            found.append({"what": what, "ours": own[unit], "peer": peer, "unit": unit, "ratio": ratio})
    return found


def show(result: dict[str, object]) -> None:
    print(result["what"])
    tools = result["tools"]
    assert isinstance(tools, dict)
    for tool, run in tools.items():
        if "failed" in run:
            print(f"  {tool:15} fails: {run['failed']}")
            continue
        numbers = f"{run['seconds']:6.2f} s {run['megabytes']:6.0f} MB  {run['macs'] / 1e9:8.4f} GMACs"
        told = run["extras"] or "misses " + ", ".join(run["missed"])
        print(f"  {tool:15} {numbers}  {run['parameters']:>11,} parameters  {told}")


if __name__ == "__main__":
    main()
