"""The study itself: rung after rung, until nothing is left to learn or no time to learn it in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import optuna
from optuna.trial import TrialState

from convlens.choosing.frontier import Status
from convlens.choosing.halving import LAST, PROBE, epochs_at, ranked, standings_at
from convlens.choosing.recommending import Answered, Waiting, could_change, largest_gain
from convlens.choosing.rung import answers_of, run_rung
from convlens.choosing.study import StudyFolder
from convlens.errors import ConvlensError
from convlens.training.config import TrainConfig
from convlens.training.settings import settle
from convlens.training.trouble import TrainingError

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from convlens.training.progress import Watcher

# settings, epochs, whether to ask about the held-out images, watcher -> what `run_rung` gives
Runner = Callable[[Mapping[str, Any], int, bool, "Watcher | None"], dict[str, Any]]


# (settings, epochs, whether to ask about the held-out images) of each
Begin = Callable[[Sequence[tuple[Mapping[str, Any], int, bool]]], None]


class Progress(Protocol):
    """Is told how the study goes."""

    def rung(self, title: str, trainings: int) -> None:
        """A rung begins, of so many trainings."""
        ...

    def training(self, name: str, until: int) -> "Watcher | None":
        """One training begins, to so many epochs; what is given back is told of its steps."""
        ...

    def reached(self, name: str, top1: float) -> None:
        """A candidate's accuracy on the validation images."""
        ...

    def failed(self, name: str, why: str) -> None:
        """A candidate's training failed."""
        ...


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a search ended: why, as a sentence; the signal that stopped it, 0 for none; whether waiting is in vain."""

    why: str
    stopped_by: int = 0
    settled: bool = False


@dataclass(frozen=True, kw_only=True)
class Reached:
    """How far a candidate came, the best accuracy on the validation images on the way, and why its training failed."""

    status: Status
    epochs: int
    top1: float | None
    failed: str = ""


@dataclass(kw_only=True)
class Search:
    """Trials of a study, trained by successive halving.

    Attributes:
        folder: the study.
        trials: Optuna's study.
        seeds: trainings of each candidate that reaches the last rung.
        most: candidates that are tried.
        budget: seconds for all trainings, those of earlier calls included; None for no limit.
        progress: is told how it goes.
        asked_to_stop: gives the signal that asks the study to stop, 0 for none.
        run: computes one rung of one trial.
        begin: is told which trainings of a rung `run` will be asked for, so that they may begin together.
    """

    folder: StudyFolder
    trials: optuna.study.Study
    seeds: int
    most: int
    budget: float | None
    progress: Progress
    asked_to_stop: Callable[[], int]
    run: Runner = run_rung
    begin: Begin = lambda _: None
    _spent: float = field(default=0.0, init=False)  # seconds before the rungs were begun with

    def go(self) -> Ended:
        """Train until the study ends; what an earlier call did is not done again.

        Seconds that the rungs leave are for candidates that the first rung had no time for: they go up the same rungs.
        """
        self._begin()
        ended = self._up_the_rungs()
        while not ended.stopped_by and self.seconds > self._spent and self._untried():
            ended = self._up_the_rungs()
        reasons = {
            "for the time budget is spent": self._untried(),
            f"--trials {self.most}": len(self.folder.within) - len(self._all()),
        }
        left = [f"{count} were not tried ({reason})" for reason, count in reasons.items() if count]
        return replace(ended, why="; ".join([ended.why, *left]))

    def _up_the_rungs(self) -> Ended:
        self._spent = self.seconds
        ended = Ended(why="all that are promising were trained to their end")
        for rung in range(LAST + 1):
            stopped = self._climb(rung)
            if stopped and stopped.stopped_by:
                return stopped
            ended = stopped or ended
            self._halve(rung)
        return ended

    def _untried(self) -> int:
        """How many candidates began and were never trained."""
        return sum(not trial.intermediate_values for trial in self._all(TrialState.RUNNING))

    @property
    def seconds(self) -> float:
        """What all trainings took, those of earlier calls included."""
        return float(sum(sum(trial.user_attrs.get("seconds", {}).values()) for trial in self._all()))

    def reached(self) -> dict[str, Reached]:
        """How far each candidate came that is within the limits."""
        statuses: dict[TrialState, Status] = {
            TrialState.COMPLETE: "finished",
            TrialState.PRUNED: "left behind",
            TrialState.RUNNING: "waiting",
            TrialState.FAIL: "failed",
        }
        return {
            self._name(trial): Reached(
                status=statuses.get(trial.state, "not tried")
                if trial.user_attrs.keys() & {"epochs", "failed"}
                else "not tried",
                epochs=trial.user_attrs.get("epochs", 0),
                top1=max(trial.intermediate_values.values(), default=None),
                failed=trial.user_attrs.get("failed", ""),
            )
            for trial in self.trials.get_trials(deepcopy=False)
        }

    def _begin(self) -> None:
        """Let as many candidates as there may be start; a kill may have come before a last value was told."""
        for trial in self._all(TrialState.RUNNING):
            if trial.last_step == LAST:
                self.trials.tell(trial.number, trial.intermediate_values[LAST])
        while len(self._all()) < min(self.most, len(self.folder.within)):
            self.trials.ask()

    def _climb(self, rung: int) -> Ended | None:
        """Bring every trial that is still in the study to a rung; give why, if not all got there."""
        members = self._members(rung)
        waiting = [trial for trial in members if rung not in trial.intermediate_values]
        epochs = sorted({self._epochs(rung, self._config(trial)) for trial in members})
        title = "probing frozen features" if rung == PROBE else f"rung {rung} of {LAST}, {_to(epochs)}"
        left = list(waiting)
        for trial in waiting:
            trained = trial.user_attrs.get("epochs", 0) >= self._config(trial).epochs and self.seeds == 1
            if rung == LAST and not trained and (ended := self._nothing_would_change(left)):
                return ended
            nobody_yet = len(left) == len(members)
            if self._out_of_time(rung, trial) and not (nobody_yet and trial is self._quickest(left, rung)):
                continue
            if len(left) == len(waiting):
                self.progress.rung(title, len(waiting))
                self.begin([call for trial in waiting for call in self._calls(trial, rung)])
            if stopped_by := self.asked_to_stop() or self._train(trial, rung):
                return Ended(why="it was interrupted", stopped_by=stopped_by)
            left.remove(trial)
        return Ended(why="the time budget is spent") if left else None

    def _train(self, frozen: "FrozenTrial", rung: int) -> int:
        """One rung of one trial, on the last one with every seed; the signal that stopped it, 0 for none.

        A training that fails, as by a loss that is no number, ends its trial and no other one.
        """
        name = self._name(frozen)
        done: dict[str, Any] = {}
        seconds = 0.0
        for settings, until, held_out in self._calls(frozen, rung):
            try:
                found = self.run(settings, until, held_out, self.progress.training(name, until))
            except TrainingError as error:
                why = str(error).partition(";")[0]
                optuna.trial.Trial(self.trials, frozen._trial_id).set_user_attr("failed", why)
                self.trials.tell(frozen.number, state=TrialState.FAIL)
                self.progress.failed(name, why)
                return 0
            if found["stopped_by"]:
                return int(found["stopped_by"])
            done, seconds = done or found, seconds + found["seconds"]
        if done["top1"] is None:  # nothing to be probed: it begins with the first rung
            return 0
        trial = optuna.trial.Trial(self.trials, frozen._trial_id)
        trial.suggest_categorical("candidate", sorted(self.folder.within))
        spent = frozen.user_attrs.get("seconds", {})
        trial.set_user_attr("seconds", spent | {str(rung): seconds})
        trial.set_user_attr("epochs", done["epochs"])
        trial.report(done["top1"], rung)
        if rung == LAST:
            self.trials.tell(frozen.number, done["top1"])
        self.progress.reached(name, done["top1"])
        return 0

    def _calls(self, frozen: "FrozenTrial", rung: int) -> list[tuple[Mapping[str, Any], int, bool]]:
        """What `run` is asked for one trial on one rung: on the last one with every seed."""
        config = self._config(frozen)
        seeds = range(self.seeds if rung == LAST else 1)
        return [(with_seed(config, seed).to_dict(), self._epochs(rung, config), rung == LAST) for seed in seeds]

    def _halve(self, rung: int) -> None:
        """End the trials that are not promoted, unless the next rung costs them nothing."""
        for frozen in self._all(TrialState.RUNNING):
            config = self._config(frozen)
            dearer = rung < LAST and self._epochs(rung + 1, config) > self._epochs(rung, config)
            if frozen.last_step == rung and dearer and self.trials.pruner.prune(self.trials, frozen):
                self.trials.tell(frozen.number, state=TrialState.PRUNED)

    def _members(self, rung: int) -> list["FrozenTrial"]:
        """The trials that take part in a rung, in the order in which they do."""
        trials = [t for t in self._all() if t.state in (TrialState.RUNNING, TrialState.COMPLETE)]
        if rung == PROBE:
            return [t for t in trials if self.folder.candidates[self._name(t)].weights]
        if rung == PROBE + 1:
            return trials
        order = ranked(standings_at(self.trials, rung - 1))
        return sorted((t for t in trials if t.number in order), key=lambda t: order.index(t.number))

    def _out_of_time(self, rung: int, trial: "FrozenTrial") -> bool:
        """Whether the rung's share of the budget is spent, or would be long before the training ends.

        All rungs have the same share (Jamieson and Talwalkar 2016, section 3); what one leaves is for those after it.
        One training may have more than its share, or a short rest of the budget would be for nobody.
        """
        if self.budget is None:
            return False
        spent, budget = self.seconds - self._spent, self.budget - self._spent
        return spent + self._expected(trial, rung) > (budget * max(1, rung) / LAST if spent else budget)

    def _expected(self, trial: "FrozenTrial", rung: int) -> float:
        """Seconds that a trial will need for a rung, by its epochs so far or, where it has none, as the others did."""
        spent = {int(key): value for key, value in trial.user_attrs.get("seconds", {}).items() if int(key) != PROBE}
        epochs = trial.user_attrs.get("epochs", 0)
        if not spent or not epochs:
            theirs = [each.user_attrs["seconds"][str(rung)] for each in self._all() if rung in each.intermediate_values]
            return float(sum(theirs) / len(theirs)) if theirs else 0.0
        config = self._config(trial)
        more = self._epochs(rung, config) - epochs + (config.epochs * (self.seeds - 1) if rung == LAST else 0)
        return float(sum(spent.values()) / epochs * max(0, more))

    def _quickest(self, trials: list["FrozenTrial"], rung: int) -> "FrozenTrial":
        """The one that is trained however short the budget is, for without any there would be no answer."""
        return min(trials, key=lambda trial: (self._expected(trial, rung), trial.number))

    def _nothing_would_change(self, waiting: list["FrozenTrial"]) -> Ended | None:
        finished = self._all(TrialState.COMPLETE)
        if not finished:
            return None
        answered = {self._name(trial): answered_by(self.folder, self._name(trial), self.seeds) for trial in finished}
        before = LAST - 1
        gain = largest_gain(
            [trial.intermediate_values[before] for trial in finished],
            [trial.intermediate_values[LAST] for trial in finished],
        )
        images = self.folder.settings["validation_images"]
        standing = {
            self._name(trial): Waiting(
                costs=self.folder.costs[self._name(trial)], top1=trial.intermediate_values[before], images=images
            )
            for trial in waiting
        }
        if could_change(standing, answered, gain):
            return None
        names = ", ".join(standing)
        return Ended(
            why=f"more training would not change the recommendation: {names} could not, even with the largest gain "
            f"that any candidate made in these epochs ({100 * gain:.1f} points)",
            settled=True,
        )

    def _config(self, trial: "FrozenTrial") -> TrainConfig:
        return config_of(self.folder, self._name(trial))

    def _epochs(self, rung: int, config: TrainConfig) -> int:
        images = self.folder.settings["training_images"] * config.repeats
        return epochs_at(rung, config.epochs, max(1, images // config.images_per_step))

    def _name(self, trial: "FrozenTrial") -> str:
        return str(trial.user_attrs["candidate"])

    def _all(self, *states: TrialState) -> list["FrozenTrial"]:
        """The trials that began, in the order in which they did."""
        begun = self.trials.get_trials(deepcopy=False, states=states or None)
        return [trial for trial in begun if trial.state != TrialState.WAITING]


def config_of(folder: StudyFolder, name: str) -> TrainConfig:
    """How a candidate is trained, with the first seed."""
    candidate = folder.candidates[name]
    given = dict(folder.settings["training"])
    if candidate.weights:
        given |= {"recipe": "finetune", "weights": candidate.weights}
    elif given.get("recipe") is None:
        given["recipe"] = "scratch"
    given |= {"data": folder.data, "network": candidate.network, "size": candidate.size}
    return replace(settle(given), runs=str(folder.runs), name=name)


def with_seed(config: TrainConfig, seed: int) -> TrainConfig:
    """The same training with its n-th seed, in a run folder of its own."""
    return replace(config, seed=config.seed + seed, name=f"{config.name}-seed{seed}") if seed else config


def answered_by(folder: StudyFolder, name: str, seeds: int) -> Answered:
    """What a candidate answered on the held-out images, with the accuracies of all its seeds.

    Raises:
        ConvlensError: the file that says so is gone.
    """
    config = config_of(folder, name)
    found = [answers_of(folder.runs / str(with_seed(config, seed).name)) for seed in range(seeds)]
    first = found[0]
    if first is None:
        raise ConvlensError(f"{folder.runs / name} has no held_out.json any more; give another folder with --study")
    return Answered(
        costs=folder.costs[name],
        images=first["images"],
        mistakes=frozenset(first["mistakes"]),
        seeds=tuple(each["top1"] for each in found if each),
    )


def _to(epochs: list[int]) -> str:
    return f"to {epochs[-1]} epochs" if len(epochs) == 1 else f"to {epochs[0]}–{epochs[-1]} epochs"
