"""Exercises: drawn from a seed, answered by the library itself, each with a worked solution."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from convlens import arithmetic
from convlens.arithmetic import geometry
from convlens.errors import unknown_name

Drawn = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One exercise.

    Attributes:
        kind: size, cell, parameters, field or pool; the pages have its words.
        given: the numbers of the question.
        grids: planes of numbers that it is about, by name.
        answer: the right number.
        solution: the numbers of the worked solution.
    """

    kind: str
    given: dict[str, int]
    grids: dict[str, list[list[int]]]
    answer: int
    solution: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def draw(kind: str, seed: int) -> Exercise:
    """Draw an exercise; the same for the same kind and seed.

    Raises:
        ConvlensError: there is no such kind.

    >>> draw("size", 1) == draw("size", 1)
    True
    """
    if kind not in KINDS:
        raise unknown_name("kind of exercise", kind, KINDS)
    return KINDS[kind](np.random.default_rng([seed, list(KINDS).index(kind)]))


def _size(drawn: Drawn) -> Exercise:
    """How large is the output of a convolution?"""
    k, s = int(drawn.choice([1, 3, 5, 7])), int(drawn.integers(1, 4))
    p, d = int(drawn.integers(0, 4)), int(drawn.integers(1, 3))
    n = int(drawn.integers(d * (k - 1) + 1 + 4, 65))
    out = geometry.output_size(n, k, stride=s, padding=p, dilation=d)
    over = n + 2 * p - d * (k - 1) - 1
    given = {"n": n, "k": k, "s": s, "p": p, "d": d}
    return Exercise(kind="size", given=given, grids={}, answer=out, solution={**given, "over": over, "out": out})


def _cell(drawn: Drawn) -> Exercise:
    """What does one window give?"""
    x = drawn.integers(0, 5, (5, 5))
    kernel = drawn.integers(-1, 3, (3, 3))
    row, column = (int(each) for each in drawn.integers(0, 3, 2))
    answer = int(arithmetic.conv2d(x.astype(float), kernel.astype(float))[row, column])
    patch = x[row : row + 3, column : column + 3]
    products = [f"{a}·{b}" if b >= 0 else f"{a}·({b})" for a, b in zip(patch.ravel(), kernel.ravel(), strict=True)]
    return Exercise(
        kind="cell",
        given={"row": row + 1, "column": column + 1},
        grids={"input": x.tolist(), "kernel": kernel.tolist()},
        answer=answer,
        solution={"sum": " + ".join(products), "out": answer},
    )


def _parameters(drawn: Drawn) -> Exercise:
    """How many weights and biases has a layer?"""
    c, f = int(drawn.choice([1, 3, 16, 32, 64])), int(drawn.choice([6, 16, 32, 64, 128]))
    k = int(drawn.choice([1, 3, 5, 7]))
    answer = geometry.parameters(c, f, (k, k))
    return Exercise(
        kind="parameters", given={"c": c, "f": f, "k": k}, grids={}, answer=answer, solution={"c": c, "f": f, "k": k}
    )


def _field(drawn: Drawn) -> Exercise:
    """How many pixels does a unit see after a few layers?"""
    layers = [(int(drawn.choice([3, 5])), int(drawn.integers(1, 3))) for _ in range(int(drawn.integers(2, 5)))]
    field, jump, steps = 1, 1, []
    for k, s in layers:
        field += (k - 1) * jump
        steps.append({"k": k, "s": s, "jump": jump, "field": field})
        jump *= s
    given = {f"k{index}": k for index, (k, _) in enumerate(layers, 1)}
    given |= {f"s{index}": s for index, (_, s) in enumerate(layers, 1)}
    return Exercise(kind="field", given=given, grids={}, answer=field, solution={"steps": steps})


def _pool(drawn: Drawn) -> Exercise:
    """What does max pooling keep?"""
    x = drawn.integers(0, 10, (4, 4))
    row, column = (int(each) for each in drawn.integers(0, 2, 2))
    answer = int(arithmetic.max_pool2d(x.astype(float), 2)[row, column])
    window = x[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
    return Exercise(
        kind="pool",
        given={"row": row + 1, "column": column + 1},
        grids={"input": x.tolist()},
        answer=answer,
        solution={"numbers": ", ".join(map(str, window.ravel())), "out": answer},
    )


KINDS: dict[str, Callable[[Drawn], Exercise]] = {
    "size": _size,
    "cell": _cell,
    "parameters": _parameters,
    "pool": _pool,
    "field": _field,
}
