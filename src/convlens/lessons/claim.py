"""The claim of the lecture's last slide: EfficientNet-B1 is 5.7 times as fast as ResNet-152 on one core.

Tan and Le, EfficientNet: rethinking model scaling for convolutional neural networks, 2019, table 4: latency at batch 1
on one core of an Intel Xeon E5-2690, average of 20 runs.
"""

from dataclasses import dataclass

from convlens.benchmarking.benchmark import Benchmark

NETWORKS = ("resnet152", "efficientnet_b1")
PUBLISHED_MS = (554.0, 98.0)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Both networks on one runtime in one precision, at batch 1.

    Args:
        runtime: what computed, or the paper.
        precision: of the arithmetic.
        slow_ms: ResNet-152.
        fast_ms: EfficientNet-B1.
    """

    runtime: str
    precision: str
    slow_ms: float
    fast_ms: float

    @property
    def ratio(self) -> float:
        """How many times as fast EfficientNet-B1 is."""
        return self.slow_ms / self.fast_ms


def comparisons(done: Benchmark) -> list[Comparison]:
    """The paper's row, then one for each runtime and precision in which both networks were measured."""
    slow, fast = (
        {(row.runtime, row.precision): row.p50_ms for row in done.rows if row.network == name and row.batch == 1}
        for name in NETWORKS
    )
    paper = Comparison(runtime="the paper", precision="float32", slow_ms=PUBLISHED_MS[0], fast_ms=PUBLISHED_MS[1])
    return [paper] + [
        Comparison(runtime=runtime, precision=precision, slow_ms=slow[runtime, precision], fast_ms=milliseconds)
        for (runtime, precision), milliseconds in fast.items()
        if (runtime, precision) in slow
    ]
