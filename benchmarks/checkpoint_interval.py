"""How often to write a checkpoint where nodes are lost: simulated, and beside the formulas of Young and Daly.

A training on N nodes loses one after an exponentially distributed time with mean MTBF / N; what was computed since the
last checkpoint is computed again, after the time that a restart takes. Each interval is simulated over many losses.
Young (1974) puts the best interval at sqrt(2 C M), C being the cost of a checkpoint and M the mean time between losses,
Daly (2006) at sqrt(2 C M) (1 + sqrt(C / 2 M) / 3 + C / 18 M) - C.

Example: python benchmarks/checkpoint_interval.py --checkpoint 20 --restart 120 --mtbf-days 50
"""

import argparse
import json
import math
import random

DAY = 86_400.0


def simulated(
    work: float, interval: float, checkpoint: float, restart: float, between: float, draw: random.Random
) -> float:
    """Seconds of one training: `work` seconds of computing, losses `between` seconds apart on average."""
    clock, kept, next_loss = 0.0, 0.0, draw.expovariate(1 / between)
    while kept < work:
        part = min(interval, work - kept)
        end = clock + part + checkpoint
        if end <= next_loss:
            clock, kept = end, kept + part
            continue
        clock = next_loss + restart  # a loss during a restart begins it anew
        next_loss = clock + draw.expovariate(1 / between)
    return clock


def young(checkpoint: float, between: float) -> float:
    """The best interval in seconds, for checkpoints that are cheap beside the time between losses."""
    return math.sqrt(2 * checkpoint * between)


def daly(checkpoint: float, between: float) -> float:
    """The best interval in seconds, of a higher order; `between` itself where checkpoints take half of that or more."""
    if checkpoint >= 2 * between:
        return between
    ratio = checkpoint / (2 * between)
    return math.sqrt(2 * checkpoint * between) * (1 + math.sqrt(ratio) / 3 + ratio / 9) - checkpoint


def share_of_work(interval: float, *, checkpoint: float, restart: float, between: float, losses: int) -> float:
    """The share of the time in which something new was computed; the same losses for all intervals."""
    work = losses * between
    return work / simulated(work, interval, checkpoint, restart, between, random.Random(0))


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, nargs="+", default=[8, 64, 512], help="eight a node")
    parser.add_argument("--mtbf-days", type=float, default=50.0, help="mean time between losses of one node")
    parser.add_argument("--checkpoint", type=float, default=20.0, help="seconds that a checkpoint stops training for")
    parser.add_argument("--restart", type=float, default=120.0, help="seconds from a loss to the first step after it")
    parser.add_argument("--losses", type=int, default=3_000, help="over which an interval is simulated")
    parser.add_argument("--quick", action="store_true", help="500 losses for each interval")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    asked = parser.parse_args()
    rows = []
    for gpus in asked.gpus:
        between = asked.mtbf_days * DAY / max(1, gpus // 8)
        best = young(asked.checkpoint, between)
        losses = 500 if asked.quick else asked.losses
        how = {"checkpoint": asked.checkpoint, "restart": asked.restart, "between": between, "losses": losses}
        shares = {interval: share_of_work(interval, **how) for interval in _around(best)}
        found = max(shares, key=lambda interval: shares[interval])
        rows.append(
            {
                "what": f"best interval on {gpus} GPUs",
                "ours": round(found),
                "peer": round(best),
                "unit": "s, and Young's",
                "ratio": round(found / best, 2),
                "daly": round(daly(asked.checkpoint, between)),
                "share": round(shares[found], 4),
                "share_at_young": round(shares[best], 4),
                "share_every_5_min": round(share_of_work(300.0, **how), 4),
            }
        )
    if asked.json:
        print(json.dumps({"rows": rows}))
        return
    for row in rows:
        print(
            f"{row['what']}: {row['ours']} s simulated, {row['peer']} s (Young), {row['daly']} s (Daly); new work in "
            f"{row['share']:.2%} of the time, {row['share_at_young']:.2%} at Young's interval, "
            f"{row['share_every_5_min']:.2%} with one every 5 min"
        )


def _around(interval: float) -> list[float]:
    """Intervals from a quarter to four times as long."""
    return [interval * 2 ** (step / 4) for step in range(-8, 9)]


if __name__ == "__main__":
    main()
