"""A few steps of a training, timed in one way of computing beside another, without leaving a trace."""

import copy
import time
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from convlens.training.speed.numerics import Numerics, shaped, threads_of
from convlens.training.speed.speed_search import CLEARLY_FASTER, CandidateError, Race
from convlens.training.step import Step

_STEPS = 4  # the first also compiles kernels and allocates memory; the fastest counts
_MOST_STEPS = 30  # of a step that is so short that
_NOISE_SECONDS = 0.3  # are not reached before


class StepClock:
    """Times steps on copies of a network.

    Args:
        network: what is trained, on its device.
        x_NCHW: a batch of the real shape.
        targets: its labels.
        step: the step that training will do.
        recompute: whether activations are computed again.
        seconds: after so long a race ends as soon as both sides have done a step.
    """

    def __init__(
        self, network: nn.Module, x_NCHW: Tensor, targets: Tensor, step: Step, *, recompute: bool, seconds: float = 10.0
    ) -> None:
        self.network, self.x, self.targets, self.step = network, x_NCHW, targets, step
        self.recompute, self.seconds = recompute, seconds
        self._began: float | None = None

    @property
    def spent(self) -> float:
        """Seconds since the first step, which is not counted: there torch imports what it needs."""
        return 0.0 if self._began is None else time.monotonic() - self._began

    def race(self, best: Numerics, candidate: Numerics) -> Race:
        """Time both in turns; a candidate that is clearly slower after its second step gets no third one.

        Raises:
            CandidateError: the candidate does not work here.
        """
        began, first = time.monotonic(), 0.0
        times: tuple[list[float], list[float]] = ([], [])
        devices = [self.x.device] if self.x.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), ExitStack() as stack:
            one = stack.enter_context(_Contestant(self, best))
            times[0].append(one.milliseconds())
            self._began = self._began or time.monotonic()
            try:
                other = stack.enter_context(_Contestant(self, candidate))
                times[1].append(other.milliseconds())
                first = times[1][0] / 1000
                measured = time.monotonic()  # what compiling took is no reason to measure less
                patient = candidate.compile != "none"
                while self._go_on(len(times[0]), time.monotonic() - (measured if patient else began)):
                    times[0].append(one.milliseconds())
                    times[1].append(other.milliseconds())
                    slower = min(times[1]) > CLEARLY_FASTER * min(times[0])
                    if slower and time.monotonic() - measured > _NOISE_SECONDS:
                        break
            except Exception as error:  # whatever it is: a training can do without this candidate
                reason = " ".join(str(error).split())[:150]
                raise CandidateError(f"it does not work here ({type(error).__name__}: {reason})") from error
        return Race(best=min(times[0]), candidate=min(times[1]), first_seconds=first)

    def _go_on(self, steps: int, seconds: float) -> bool:
        """Whether both sides do another step: a few are enough, but short ones are noisy and cost nothing."""
        return seconds < self.seconds and (steps < _STEPS or (steps < _MOST_STEPS and seconds < _NOISE_SECONDS))

    def images_a_second(self, numerics: Numerics) -> tuple[float, float]:
        """How many images a second a step of this batch computes, and one of twice the batch.

        Raises:
            CandidateError: twice the batch does not fit.
        """
        twice = StepClock(
            self.network,
            torch.cat([self.x, self.x]),
            torch.cat([self.targets, self.targets]),
            self.step,
            recompute=self.recompute,
        )
        fastest = [float("inf"), float("inf")]
        with torch.random.fork_rng(devices=[self.x.device] if self.x.device.type == "cuda" else []):
            try:
                with _Contestant(self, numerics) as one, _Contestant(twice, numerics) as other:
                    began, done = time.monotonic(), 0
                    while self._go_on(done, time.monotonic() - began):
                        fastest = [min(fastest[0], one.milliseconds()), min(fastest[1], other.milliseconds())]
                        done += 1
            except RuntimeError as error:
                raise CandidateError(str(error)) from error
        return 1000 * len(self.x) / fastest[0], 2000 * len(self.x) / fastest[1]


class _Contestant:
    """A copy of the network that computes in one way, for the length of a race."""

    def __init__(self, clock: StepClock, numerics: Numerics) -> None:
        self.clock, self.numerics, self.stack = clock, numerics, ExitStack()
        self.network = copy.deepcopy(clock.network).train()
        self.step = clock.step.computed_as(numerics)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=1e-6, fused=True)

    def __enter__(self) -> "_Contestant":
        self.stack.enter_context(shaped(self.network, self.numerics, recompute=self.clock.recompute))
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def milliseconds(self) -> float:
        """What one step takes."""
        x, targets = self.clock.x, self.clock.targets
        with threads_of(self.numerics.threads):
            started = time.perf_counter()
            self.step(self.network, self.optimizer, x, targets)
            if x.device.type == "cuda":
                torch.cuda.synchronize(x.device)
            return (time.perf_counter() - started) * 1000
