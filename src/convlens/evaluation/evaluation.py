"""One predictor on one split of a data set: all figures, and the mistakes it is surest of."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.data import Dataset, Record
from convlens.data.parallel import in_order
from convlens.errors import unknown_name
from convlens.evaluation import metrics
from convlens.predicting.protocol import Answering


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """An image that was taken for something else, and how sure the network was of it."""

    file: str
    label: str
    predicted: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a predictor did on a split. Accuracies are fractions; the interval is Wilson's at 95 %.

    `confusion[i][j]` counts images of class i that were taken for class j, in the order of `classes`.
    `mistakes` begins with the most confident.
    """

    data: str
    split: str
    images: int
    classes: tuple[str, ...]
    top1: float
    top1_low: float
    top1_high: float
    top5: float
    macro_f1: float
    log_loss: float
    calibration_error: float
    per_class: tuple[metrics.ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    reliability: metrics.Reliability
    mistakes: tuple[Mistake, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give the evaluation as `evaluate --json` prints it."""
        return asdict(self)


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
    """Compute every figure from the probabilities of a split's records, in their order."""
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
        top5=metrics.top_k_accuracy(p_NK, y_N, 5),
        macro_f1=metrics.macro_f1(per_class),
        log_loss=metrics.log_loss(p_NK, y_N),
        calibration_error=bins.calibration_error,
        per_class=per_class,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        reliability=bins,
        mistakes=_mistakes(classes, records, p_NK, predicted, y_N),
        notes=dataset.notes,
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
