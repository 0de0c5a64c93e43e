"""How many processors this process may use: by the affinity mask and the container's quota, not by the machine."""

import math
import os
import platform
from pathlib import Path


def available_processors(root: Path = Path("/")) -> int:
    """Count the processors that the operating system and the control group leave to this process, at least 1.

    Args:
        root: where `proc` and `sys` are mounted.

    >>> available_processors() >= 1
    True
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.floor(min(allowed, _quota(root))))


def default_threads() -> int:
    """How many threads a library should use unless told otherwise: `OMP_NUM_THREADS` where it is lower."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return min(available_processors(), int(asked)) if asked.isdigit() and int(asked) > 0 else available_processors()


def processor_name() -> str:
    """What the processor calls itself, such as for a table of timings."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()


def _quota(root: Path) -> float:
    """Processors by the CPU quotas of the control group and of those above it; infinite where there is none."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return math.inf
    quotas = [math.inf]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        mount = root / "sys/fs/cgroup"
        if controllers:  # version 1: each controller has a tree of its own
            if "cpu" not in controllers.split(","):
                continue
            mount = next((mount / name for name in (controllers, "cpu") if (mount / name).is_dir()), mount)
        group = mount / path.lstrip("/")
        while True:
            quotas.append(_quota_of(group))
            if group == mount or mount not in group.parents:
                break
            group = group.parent
    return min(quotas)


def _quota_of(group: Path) -> float:
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text(encoding="utf-8").split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text(encoding="utf-8").strip()
            period = (group / "cpu.cfs_period_us").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return math.inf
    return math.inf if quota in ("max", "-1") else int(quota) / int(period)
