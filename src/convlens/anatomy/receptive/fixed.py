"""Elements that are −∞ or 0 whatever the input: what masked attention leaves out.

They are kept as terms of their own, with a source that is no input, so that every view, slice and permutation carries
them along. The element itself depends on nothing. What multiplies a fixed 0 does not count; softmax turns −∞ into it.
"""

from dataclasses import replace

import numpy as np
import torch

from convlens.anatomy.receptive.field import Field, Term, squeezed_mask
from convlens.anatomy.receptive.span import Mask, Span

MINUS_INFINITY, ZERO = -1, -2  # sources
VALUES = {MINUS_INFINITY: float("-inf"), ZERO: 0.0}


def without_fixed(found: Field) -> Field:
    """The field without its knowledge of fixed elements, which stay elements that look nowhere."""
    if all(term.source >= 0 for term in found.terms):
        return found
    return replace(found, terms=tuple(term for term in found.terms if term.source >= 0))


def fixed_at(found: Field, value: int) -> Mask | None:
    """Which elements are fixed at one of `VALUES`; None if none is."""
    masks = [~span.empty() for term in found.terms if term.source == value for span in term.spans.values()]
    if not masks:
        return None
    whole: Mask = np.logical_or.reduce([np.broadcast_to(mask, found.sizes) for mask in masks]).reshape(found.shape)
    return squeezed_mask(whole)


def closed(found: Field, mask: Mask) -> Field:
    """The field after the masked elements became constants."""
    found, mask = _laid_over(found, mask)
    return found.mapped(lambda span: span.closed(mask, pattern=True)).settled()


def fixed(found: Field, mask: Mask | None, value: int) -> Field:
    """The field after the masked elements became one of `VALUES`."""
    if mask is None or not mask.any():
        return found
    found, mask = _laid_over(closed(found, mask), mask)
    return replace(
        found, terms=(*found.terms, Term(value, {0: Span(mask[..., None].astype(np.uint64), None, "fixed")}))
    )


def _laid_over(found: Field, mask: Mask) -> tuple[Field, Mask]:
    """A mask (one axis a dimension) in the factors of a field; dimensions along which it varies get a single factor."""
    mask = squeezed_mask(mask)
    for dimension in range(mask.ndim):
        if mask.shape[dimension] > 1:
            found = found.single(dimension)
    form = [
        size if len(factors) == 1 else 1
        for size, factors in zip(mask.shape, found.layout, strict=True)
        for _ in factors
    ]
    return found, mask.reshape(form)


def either(*masks: Mask | None) -> Mask | None:
    """Where at least one mask is set."""
    given = [mask for mask in masks if mask is not None]
    return squeezed_mask(np.logical_or.reduce(np.broadcast_arrays(*given))) if given else None


def mask_of(condition: torch.Tensor, shape: tuple[int, ...]) -> Mask | None:
    """A condition broadcast to a shape; None if it holds nowhere."""
    if not bool(condition.any()):
        return None
    return squeezed_mask(condition.expand(shape).numpy())


def nowhere(found: Field) -> Mask | None:
    """Which elements look nowhere; None if every element looks somewhere."""
    if not found.terms:
        return np.ones([1] * len(found.layout), dtype=np.bool_)
    if any(all(not span.empty().any() for span in term.spans.values()) for term in found.terms):
        return None
    empty = [next(iter(term.spans.values())).empty() for term in found.singles().terms]
    mask: Mask = np.logical_and.reduce(np.broadcast_arrays(*empty))
    return squeezed_mask(mask) if mask.any() else None


def alive(shape: tuple[int, ...], zero: Mask | None) -> Field:
    """A field that tells which elements are not fixed at 0: they look somewhere, it does not matter where."""
    mask = np.ones([1] * len(shape), dtype=np.bool_) if zero is None else ~zero
    return Field(tuple((size,) for size in shape), (Term(0, {0: Span(mask[..., None].astype(np.uint64), None)}),))
