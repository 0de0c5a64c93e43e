"""One predictor on one split of a data set: all figures, and the mistakes it is surest of."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.data import Dataset, Record
from convlens.data.parallel import in_order
from convlens.errors import unknown_name
from convlens.evaluation import metrics
from convlens.predicting.finite import NotFiniteError
from convlens.predicting.protocol import Answering

_LISTED = 1000  # mistakes, and pairs of classes, in JSON
_MATRIX_CLASSES = 100  # up to which JSON holds the confusion matrix


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """An image that was taken for something else, and how sure the network was of it."""

    file: str
    label: str
    predicted: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class Confused:
    """How many images of a class were taken for another one."""

    label: str
    predicted: str
    images: int


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a predictor did on a split. Accuracies are fractions; the interval is Wilson's at 95 %.

    `confusion[i][j]` counts images of class i that were taken for class j, in the order of `classes`.
    `mistakes` begins with the most confident. `top5` is None with five classes or fewer, where it says nothing.
    """

    data: str
    split: str
    images: int
    classes: tuple[str, ...]
    top1: float
    top1_low: float
    top1_high: float
    top5: float | None
    macro_f1: float
    log_loss: float
    calibration_error: float
    per_class: tuple[metrics.ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    reliability: metrics.Reliability
    mistakes: tuple[Mistake, ...]
    notes: tuple[str, ...] = ()

    @property
    def guessing(self) -> float:
        """The share of right answers that the commonest class alone would give."""
        return max(row.images for row in self.per_class) / self.images

    @property
    def is_guessing(self) -> bool:
        """Whether the accuracy cannot be told from that of always naming the commonest class."""
        return self.top1_low <= self.guessing

    def worst_classes(self) -> list[metrics.ClassMetrics]:
        """The classes of which images were seen, the smallest F1 first; of equal ones the larger class."""
        seen = [row for row in self.per_class if row.images]
        return sorted(seen, key=lambda row: (row.f1 or 0.0, -row.images))

    def confused(self) -> list[Confused]:
        """Which classes are taken for which others, the most frequent first."""
        counts = np.asarray(self.confusion, dtype=np.int64)
        np.fill_diagonal(counts, 0)
        order = np.argsort(-counts, axis=None, kind="stable")[: np.count_nonzero(counts)]
        pairs = np.stack(np.unravel_index(order, counts.shape), axis=1).tolist()
        return [Confused(label=self.classes[i], predicted=self.classes[j], images=int(counts[i, j])) for i, j in pairs]

    def to_dict(self) -> dict[str, Any]:
        """Give the evaluation as `evaluate --json` prints it.

        With more than 100 classes the matrix, which then is mostly zeros, is left out; `confused` names the 1,000 most
        frequent pairs in any case, and `mistakes` the 1,000 surest.
        """
        values = asdict(self) | {"guessing": self.guessing}
        values["confusion"] = self.confusion if len(self.classes) <= _MATRIX_CLASSES else None
        values["confused"] = [asdict(pair) for pair in self.confused()[:_LISTED]]
        values["mistakes"] = values["mistakes"][:_LISTED]
        return values


def evaluate(
    predictor: Answering,
    dataset: Dataset,
    split: str | None = None,
    *,
    batch: int = 64,
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Evaluate a predictor on a split of a data set; classes are matched by name.

    Images of classes that the predictor does not know are left out and said, for no answer could be right.

    Args:
        predictor: what runs the network.
        dataset: labelled images.
        split: which split; None takes test, else val, else train.
        batch: how many images go through the network at a time.
        on_progress: called with how many images are done and how many there are.

    Raises:
        ConvlensError: if there is no such split, or none of its classes is known.
    """
    matched = dataset.matched_to(predictor.classes)
    chosen = choose_split(matched, split)
    records = matched.records(chosen)
    done: list[NDArray[np.float32]] = []
    for p in probabilities_of(predictor, matched, records, batch):
        done.append(p)
        if on_progress:
            on_progress(min(len(done) * batch, len(records)), len(records))
    return summarise(matched, chosen, np.concatenate(done))


def usual_split(dataset: Dataset, trained_on: str, fingerprint: str) -> str | None:
    """The split to evaluate on where none is asked for: all of data that name no splits and were not trained on.

    Args:
        dataset: as it was opened for the network's classes.
        trained_on: the data of the training, as they were named then; "" where that is not known.
        fingerprint: of these data.
    """
    if not dataset.drawn:
        return None
    here = trained_on == dataset.location or str(Path(trained_on).resolve()) == dataset.location
    return None if (trained_on and here) or dataset.fingerprint() == fingerprint else "all"


def choose_split(dataset: Dataset, split: str | None) -> str:
    """The split to evaluate on: the one asked for, or `"all"`, else test, val or train, whichever comes first."""
    present = [name for name in ("test", "val", "train") if dataset.splits.get(name)]
    if split is None:
        return present[0]
    if split not in [*present, "all"]:
        raise unknown_name("split", split, [*present, "all"])
    return split


def probabilities_of(
    predictor: Answering, dataset: Dataset, records: Sequence[Record], batch: int
) -> Iterator[NDArray[np.float32]]:
    """Yield probabilities (n, K), a batch at a time; the next batch is read while this one is computed."""
    preprocessing = predictor.preprocessing

    def read(record: Record) -> NDArray[np.float32]:
        return preprocessing.apply(
            dataset.read(record, channels=preprocessing.channels, at_least=preprocessing.decoding_size())
        )

    images = in_order(read, records, ahead=batch, name="convlens-evaluate")
    while chunk := list(islice(images, batch)):
        yield predictor.probabilities(np.stack(chunk))


def summarise(dataset: Dataset, split: str, p_NK: NDArray[np.float32]) -> Evaluation:
    """Compute every figure from the probabilities of a split's records, in their order.

    Raises:
        ConvlensError: a probability that is not a number.
    """
    _check_numbers(dataset, split, p_NK)
    records, y_N, classes = dataset.records(split), dataset.labels(split), dataset.classes
    predicted = p_NK.argmax(axis=1).astype(np.int64)
    right = int((predicted == y_N).sum())
    low, high = metrics.wilson_interval(right, len(records))
    confusion = metrics.confusion_matrix(predicted, y_N, len(classes))
    per_class = metrics.class_metrics(confusion, classes)
    bins = metrics.reliability(p_NK, y_N)
    return Evaluation(
        data=dataset.name,
        split=split,
        images=len(records),
        classes=classes,
        top1=right / len(records),
        top1_low=low,
        top1_high=high,
        top5=metrics.top_k_accuracy(p_NK, y_N, 5) if len(classes) > 5 else None,
        macro_f1=metrics.macro_f1(per_class),
        log_loss=metrics.log_loss(p_NK, y_N),
        calibration_error=bins.calibration_error,
        per_class=per_class,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        reliability=bins,
        mistakes=_mistakes(classes, records, p_NK, predicted, y_N),
        notes=dataset.notes,
    )


def _check_numbers(dataset: Dataset, split: str, p_NK: NDArray[np.float32]) -> None:
    wrong = np.flatnonzero(~np.isfinite(p_NK).all(axis=1))
    if len(wrong):
        raise NotFiniteError(
            f"the network gives no numbers for {len(wrong):,} of {len(p_NK):,} images, first "
            f"{dataset.records(split)[wrong[0]].key!r}; its weights are damaged or its training diverged; train it anew"
        )


def _mistakes(
    classes: Sequence[str],
    records: Sequence[Record],
    p_NK: NDArray[np.float32],
    predicted_N: NDArray[np.int64],
    y_N: NDArray[np.int64],
) -> tuple[Mistake, ...]:
    wrong = np.flatnonzero(predicted_N != y_N)
    surest_first = wrong[np.argsort(-p_NK[wrong, predicted_N[wrong]], kind="stable")]
    return tuple(
        Mistake(
            file=records[i].key,
            label=classes[y_N[i]],
            predicted=classes[predicted_N[i]],
            probability=float(p_NK[i, predicted_N[i]]),
        )
        for i in surest_first
    )
