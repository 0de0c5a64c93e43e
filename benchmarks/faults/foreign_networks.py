"""Foreign networks after an inspection: is their real answer the same to the bit, and is anything fake left?

Each network is made twice from one seed. One is inspected, on two sizes and in both modes; the other is not. Both then
run on the same images. The networks are those of timm, where it is installed, and modules that keep what they compute
in every place that Python and TorchScript have. Nothing is downloaded.

Example: python benchmarks/faults/foreign_networks.py --quick
"""

import argparse
import functools
import gc
import json
import warnings
from collections.abc import Callable

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from convlens.errors import ConvlensError
from convlens.graph import record

QUICK, ALL = 12, 80  # networks of timm
TABLE: dict[int, torch.Tensor] = {}


@functools.lru_cache
def ramp(size: int) -> torch.Tensor:
    return torch.linspace(0, 1, size)


class Remembering(nn.Module):
    """Keeps tensors in an lru_cache, a global variable, a default argument and an object beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.beside = type("Beside", (), {"kept": {"deep": []}})()

    def forward(self, x: torch.Tensor, seen: dict[int, torch.Tensor] = {}) -> torch.Tensor:  # noqa: B006
        y: torch.Tensor = self.conv(x)
        size = y.shape[-1]
        TABLE.setdefault(size, torch.arange(size) / 7)
        seen.setdefault(size, torch.ones(size))
        self.beside.kept["deep"].append(y)
        return y * seen[size] + ramp(size) + TABLE[size]


OWN: dict[str, Callable[[], nn.Module]] = {
    "caches": Remembering,
    "scripted": lambda: torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())),
    "traced": lambda: torch.jit.trace(nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 32, 32)),
    "scripted within": lambda: nn.Sequential(nn.Conv2d(3, 3, 1), torch.jit.script(nn.Conv2d(3, 4, 3)), nn.ReLU()),
}


def foreign(most: int) -> dict[str, Callable[[], nn.Module]]:
    """Small networks of timm, evenly drawn from its list; none where it is not installed."""
    try:
        import timm
    except (ImportError, RuntimeError):
        return {}
    names = [name for name in timm.list_models() if any(word in name for word in ("tiny", "small", "_s", "nano", "18"))]
    return {name: functools.partial(timm.create_model, name) for name in names[:: max(1, len(names) // most)]}


def verdict(make: Callable[[], nn.Module]) -> str:
    """ "unchanged", "changed", "fakes left", "refused" for what says that it cannot be left alone, or "not run"."""
    networks = []
    for _ in range(2):
        torch.manual_seed(0)
        networks.append(make().eval())
    given = getattr(networks[0], "default_cfg", {}).get("input_size", (3, 32, 32))
    x = torch.randn(1, *given, generator=torch.Generator().manual_seed(1))
    try:
        for training in (False, True):
            record(networks[0], given, training=training)
        record(networks[0], (given[0], given[1] + 32, given[2] + 32))
    except ConvlensError:
        return "refused"
    gc.collect()
    if any(issubclass(type(each), FakeTensor) for each in gc.get_objects()):
        return "fakes left"
    with torch.no_grad():
        try:
            expected = networks[1](x)
        except Exception:
            return "not run"
        found = networks[0](x)
    one, other = (torch.utils._pytree.tree_leaves(each) for each in (expected, found))
    same = all(torch.equal(a, b) for a, b in zip(one, other, strict=True) if isinstance(a, torch.Tensor))
    return "unchanged" if same else "changed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} networks of timm instead of {ALL}")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    makers = {**OWN, **foreign(QUICK if asked.quick else ALL)}
    found = {name: verdict(make) for name, make in makers.items()}
    compared = [name for name, told in found.items() if told != "not run"]
    unchanged = sum(told == "unchanged" for told in found.values())
    if asked.json:
        row = {"what": "foreign networks unchanged by an inspection", "ours": unchanged, "peer": len(compared)}
        print(json.dumps({"rows": [row | {"unit": "networks", "ratio": unchanged / max(1, len(compared))}]}))
    else:
        print(f"foreign networks: {unchanged} of {len(compared)} unchanged")
        for name, told in found.items():
            if told != "unchanged":
                print(f"  {name}: {told}")


if __name__ == "__main__":
    main()
