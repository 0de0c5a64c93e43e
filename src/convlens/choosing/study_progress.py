"""What the user sees of a study: a bar with the best so far on a terminal, lines elsewhere, nothing if quiet."""

import sys
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import TaskID, TimeElapsedColumn

from convlens.training.progress import Plan, Silence, wide_bar
from convlens.training.state import State


class Quiet:
    """Says nothing; what the others build on."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def rung(self, title: str, trainings: int) -> None:
        """Say nothing."""

    def training(self, name: str, until: int) -> Silence | None:  # noqa: ARG002
        """Watch nothing."""
        return None

    def reached(self, name: str, top1: float) -> None:
        """Say nothing."""

    def failed(self, name: str, why: str) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Nothing is shown."""


class Lines(Quiet):
    """A line for each rung and each candidate, on the error stream."""

    def __init__(self) -> None:
        self.best = ("", -1.0)

    def note(self, text: str) -> None:
        """Print a note."""
        print(text, file=sys.stderr, flush=True)

    def rung(self, title: str, trainings: int) -> None:
        """Say what begins."""
        self.note(f"{title}: {trainings} candidate{'' if trainings == 1 else 's'}")

    def reached(self, name: str, top1: float) -> None:
        """Print the candidate's accuracy."""
        if top1 > self.best[1]:
            self.best = (name, top1)
        self.note(f"  {name}  {top1:.2%} of the validation images (best so far: {self.best[0]} {self.best[1]:.2%})")

    def failed(self, name: str, why: str) -> None:
        """Print why."""
        self.note(f"  {name}  failed: {why}")


class Bar(Lines):
    """A bar that moves with every step of a training, and says what is the best so far."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console
        self.progress = wide_bar(console, TimeElapsedColumn())
        self.task: TaskID | None = None
        self.title, self.done = "", 0

    def note(self, text: str) -> None:
        """Print a note above the bar."""
        self.console.print(text, highlight=False, markup=False)

    def rung(self, title: str, trainings: int) -> None:
        """Begin a bar for the rung."""
        super().rung(title, trainings)
        self.close()
        self.title, self.done = title.partition(",")[0], 0
        self.task = self.progress.add_task(self.title, total=trainings, figures="")
        self.progress.start()

    def training(self, name: str, until: int) -> Silence | None:
        """Move the bar with the steps of this training."""
        if self.task is not None:
            self.progress.update(self.task, description=f"{self.title}: {name}")
        return _Steps(bar=self, until=until)

    def part(self, share: float) -> None:
        """So much of the training at hand is done."""
        if self.task is not None:
            self.progress.update(self.task, completed=self.done + min(share, 0.99))

    def reached(self, name: str, top1: float) -> None:
        """Print the accuracy, and move the bar to the next candidate."""
        super().reached(name, top1)
        self._next(f"best {self.best[0]} {self.best[1]:.1%}")

    def failed(self, name: str, why: str) -> None:
        """Print why, and move the bar to the next candidate."""
        super().failed(name, why)
        self._next("")

    def _next(self, best: str) -> None:
        self.done += 1
        if self.task is not None:
            self.progress.update(self.task, completed=self.done, figures=best)

    def close(self) -> None:
        """Take the bar away."""
        if self.task is not None:
            self.progress.stop()
            self.progress.remove_task(self.task)
            self.task = None


@dataclass
class _Steps(Silence):
    """Tells a bar how far a training is on its way to an epoch."""

    bar: Bar
    until: int
    plan: Plan = field(default_factory=lambda: Plan(epochs=1, steps=1, batch=1, done=0))

    def begin(self, plan: Plan) -> None:
        self.plan = plan

    def step(self, state: State) -> None:
        total = self.until * self.plan.steps - self.plan.done
        self.bar.part((state.epoch * self.plan.steps + state.step - self.plan.done) / max(1, total))


def choose_progress(quiet: bool) -> Quiet:
    """A bar on a terminal, lines elsewhere, nothing if quiet."""
    if quiet:
        return Quiet()
    console = Console(stderr=True)
    return Bar(console) if console.is_terminal else Lines()
