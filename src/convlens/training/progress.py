"""What the user sees while a network trains: a bar on a terminal, one line an epoch elsewhere, nothing if quiet."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeRemainingColumn

from convlens.training.state import State

_REDRAW_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long a training is, and how many of its steps were done before."""

    epochs: int
    steps: int
    batch: int
    done: int


class Watcher(Protocol):
    """Is told what happens; `say` takes notes at any time."""

    def begin(self, plan: Plan) -> None:
        """Training starts, or goes on."""
        ...

    def step(self, state: State) -> None:
        """A step is done."""
        ...

    def epoch(self, row: Mapping[str, Any], kept: bool) -> None:
        """An epoch is done."""
        ...

    def saved(self, state: State) -> None:
        """A checkpoint of this state is written; of several processes each is told, and only one has written."""
        ...

    def say(self, note: str) -> None:
        """Something that the user should know."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Silence:
    """Says nothing; what other watchers build on."""

    def begin(self, plan: Plan) -> None:
        """Say nothing."""

    def step(self, state: State) -> None:
        """Say nothing."""

    def epoch(self, row: Mapping[str, Any], kept: bool) -> None:
        """Say nothing."""

    def saved(self, state: State) -> None:
        """Say nothing."""

    def say(self, note: str) -> None:
        """Say nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class Lines(Silence):
    """One line an epoch on the error stream, for logs and pipes."""

    def __init__(self) -> None:
        self.plan = Plan(epochs=0, steps=1, batch=1, done=0)

    def begin(self, plan: Plan) -> None:
        """Remember how many epochs there are."""
        self.plan = plan

    def epoch(self, row: Mapping[str, Any], kept: bool) -> None:
        """Print the epoch's line."""
        self.say(describe(row, self.plan.epochs, kept))

    def say(self, note: str) -> None:
        """Print a note."""
        print(note, file=sys.stderr, flush=True)


def wide_bar(console: Console, *times: ProgressColumn) -> Progress:
    """A bar as wide as there is room, with a description, the field `figures` and times; it goes away at its end."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[figures]}"),
        *times,
    )
    return Progress(*columns, console=console, transient=True, refresh_per_second=5)


class Bar(Lines):
    """A bar with epoch, loss, images a second and time left, and a line for every epoch above it."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console
        left = TimeRemainingColumn(compact=True, elapsed_when_finished=True)
        self.progress = wide_bar(console, TextColumn("left"), left)
        self.task: TaskID | None = None
        self.shown = 0.0

    def begin(self, plan: Plan) -> None:
        """Show the bar."""
        self.plan = plan
        self.task = self.progress.add_task("", total=plan.epochs * plan.steps, completed=plan.done, figures="")
        self.progress.start()

    def step(self, state: State) -> None:
        """Move the bar; the loss is fetched from the device a few times a second only."""
        now = time.monotonic()
        if self.task is None or now - self.shown < _REDRAW_SECONDS:
            return
        self.shown = now
        loss = state.loss_sum.item() / state.step
        speed = state.step * self.plan.batch / max(state.seconds, 1e-9)
        top1 = state.history[-1].get("val_top1") if state.history else None
        self.progress.update(
            self.task,
            completed=state.epoch * self.plan.steps + state.step,
            description=f"epoch {state.epoch + 1}/{self.plan.epochs}",
            figures=f"loss {loss:.3f}" + (f"  val {top1:.1%}" if top1 is not None else "") + f"  {speed:,.0f} images/s",
        )

    def epoch(self, row: Mapping[str, Any], better: bool) -> None:
        """Print the epoch's line, and move the bar to its end."""
        super().epoch(row, better)
        if self.task is not None:
            self.progress.update(self.task, completed=row["epoch"] * self.plan.steps)

    def say(self, note: str) -> None:
        """Print a note above the bar."""
        self.console.print(note, highlight=False, markup=False)

    def __exit__(self, *_: object) -> None:
        self.progress.stop()


def choose_watcher(quiet: bool) -> Watcher:
    """A bar on a terminal, lines elsewhere, nothing if quiet."""
    if quiet:
        return Silence()
    console = Console(stderr=True)
    return Bar(console) if console.is_terminal else Lines()


def describe(row: Mapping[str, Any], epochs: int, kept: bool) -> str:
    """One epoch in one line."""
    words = [f"epoch {row['epoch']}/{epochs}", f"loss {row['loss']:.4f}"]
    if "val_top1" in row:
        words += [f"val accuracy {row['val_top1']:.2%}", f"val loss {row['val_log_loss']:.4f}"]
    words += [f"{row['images_per_second']:,.0f} images/s"]
    return "  ".join(words) + ("  kept" if kept and "val_top1" in row else "")
