"""A linear probe: logistic regression on the features of a body that stays as it is (Alain and Bengio 2016).

N: images, D: features, K: classes.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

_PENALTIES = np.logspace(-3, 2, 6)  # inverse strengths, of features that are scaled to a deviation of 1
_FOLDS = 4
_ITERATIONS = 200
_SECONDS = 30.0  # that the regression may take,
_OPERATIONS_A_SECOND = 1e10  # at about this speed on one processor
_WORTH_THREADS = 1e8  # products in a step, below which threads cost more than they give
_ABSENT = -10.0  # score of a class without a training image, against those of the others


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What was fitted: scores are `features @ weight.T + bias`.

    Attributes:
        weight: (K, D), float32.
        bias: (K,), float32.
        penalty: the inverse strength that was chosen.
        chosen_by: how.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    penalty: float
    chosen_by: str


def fit_probe(x_ND: NDArray[np.float32], y_N: NDArray[np.int64], classes: int, *, balanced: bool, seed: int) -> Probe:
    """Fit logistic regression, its penalty by cross-validation where each class has images enough and time allows.

    Args:
        x_ND: features.
        y_N: class indices.
        classes: K; a class without an image is answered last.
        balanced: whether the classes weigh the same, however many images each has.
        seed: of the folds.
    """
    from sklearn.linear_model import LogisticRegression

    x, back, spread = _in_few_dimensions(x_ND)
    seen, images = np.unique(y_N, return_counts=True)
    folds = min(_FOLDS, int(images.min()))
    affordable = _affordable_iterations(len(x), x.shape[1], len(seen))
    weights = "balanced" if balanced else None
    threads = 1 if len(x) * x.shape[1] * len(seen) < _WORTH_THREADS else None
    with threadpool_limits(threads), warnings.catch_warnings():
        # a fit that ran out of iterations is good enough, and newer versions rename things
        warnings.simplefilter("ignore")
        if folds >= 2 and affordable >= _ITERATIONS * folds:  # those that are tried seldom need more together
            chosen_by = f"{folds}-fold cross-validation"
            model = LogisticRegression(C=_best_penalty(x, y_N, folds, weights, seed), max_iter=_ITERATIONS)
        else:
            chosen_by = "the usual one" + (
                "" if folds < 2 else ", for there are too many images and classes to try others"
            )
            model = LogisticRegression(max_iter=min(_ITERATIONS, max(10, affordable)))
        model.set_params(class_weight=weights).fit(x, y_N)
    weight, bias = _for_all_classes(model.coef_ @ back / spread, model.intercept_, seen, classes)
    return Probe(weight=weight, bias=bias, penalty=float(model.C), chosen_by=chosen_by)


def _best_penalty(
    x_ND: NDArray[np.float32], y_N: NDArray[np.int64], folds: int, weights: str | None, seed: int
) -> float:
    """The inverse strength whose fits give held-out images the smallest loss.

    From the strongest penalty on, each fold's fit beginning at its last one, until the loss rises: weak penalties take
    ten times as long to fit, and are seldom the best.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold

    parts = list(StratifiedKFold(folds, shuffle=True, random_state=seed % 2**32).split(x_ND, y_N))
    models = [LogisticRegression(max_iter=_ITERATIONS, class_weight=weights, warm_start=True) for _ in parts]
    best, smallest = float(_PENALTIES[0]), np.inf
    for penalty in _PENALTIES:
        loss = 0.0
        for model, (rest, held_out) in zip(models, parts, strict=True):
            model.set_params(C=penalty).fit(x_ND[rest], y_N[rest])
            loss += log_loss(y_N[held_out], model.predict_proba(x_ND[held_out]), labels=model.classes_)
        if loss >= smallest:
            break
        best, smallest = float(penalty), loss
    return best


def _in_few_dimensions(
    x_ND: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """The features in no more dimensions than there are images, the way back, and the deviation that became 1.

    The penalty is the same in any rotation, and no direction in which no image lies gets a weight, so nothing is lost.
    """
    spread = float(x_ND.std()) or 1.0
    images, features = x_ND.shape
    if images >= features:
        return x_ND / spread, np.eye(features, dtype=np.float32), spread
    left, lengths, back = np.linalg.svd(x_ND / spread, full_matrices=False)
    return left * lengths, back, spread


def _affordable_iterations(images: int, features: int, classes: int) -> int:
    operations = 6 * images * features * max(1, classes if classes > 2 else 1)  # scores, and their gradient
    return int(_SECONDS * _OPERATIONS_A_SECOND / operations)


def _for_all_classes(
    weight_KD: NDArray[np.float64], bias_K: NDArray[np.float64], seen: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One row a class: of two classes scikit-learn gives one for both, and none of a class without an image."""
    if len(seen) == 2:
        weight_KD, bias_K = np.concatenate([-weight_KD, weight_KD]) / 2, np.concatenate([-bias_K, bias_K]) / 2
    weight = np.zeros((classes, weight_KD.shape[1]), np.float32)
    bias = np.full(classes, bias_K.min() + _ABSENT, np.float32)
    weight[seen], bias[seen] = weight_KD, bias_K
    return weight, bias
