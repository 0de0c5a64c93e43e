"""Nests of lists, tuples, dicts and what else PyTorch's pytree knows: one way to walk over them."""

from collections.abc import Callable
from typing import Any, TypeVar

from torch.utils import _pytree as pytree

T = TypeVar("T")


def leaves(nest: Any, kind: type[T]) -> list[T]:
    """The leaves of that kind, in order.

    >>> leaves({"one": 1, "more": [2.5, (3,)]}, int)
    [1, 3]
    """
    return [each for each in pytree.tree_leaves(nest) if isinstance(each, kind)]


def named_leaves(nest: Any, kind: type[T], prefix: str) -> list[tuple[str, T]]:
    """The leaves of that kind, each with its path in the nest.

    >>> named_leaves({"one": 1, "more": [2.5, (3,)]}, int, "x")
    [('x.one', 1), ('x.more.1.0', 3)]
    """
    found, _ = pytree.tree_flatten_with_path(nest)
    return [(".".join([prefix, *map(_key, path)]), each) for path, each in found if isinstance(each, kind)]


def changed(nest: Any, kind: type[T], change: Callable[[T], Any]) -> Any:
    """The same nest with every leaf of that kind changed.

    >>> changed([1, (2.5, {"a": 3})], int, lambda number: -number)
    [-1, (2.5, {'a': -3})]
    """
    return pytree.tree_map_only(kind, change, nest)


def _key(key: Any) -> str:
    return str(
        next(value for value in (getattr(key, name, None) for name in ("idx", "key", "name")) if value is not None)
    )
