"""What the Python objects within reach of a module hold, kept before a forward pass and put back after it.

A module is not the only store of what its forward pass writes: there are lists and dicts on it, plain objects that it
holds, its class, default arguments, closures, global variables of its files, and memoising decorators. They are found
by walking from the module: through what objects hold, and through the names that the code of their methods mentions.
"""

import copy
import functools
import gc
import random
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch

_MOST = 400_000  # objects looked at; beyond is what no forward pass would write to, such as a data set
_LARGE = 1 << 26  # bytes of an array that is not copied any more
_NO_CODE = frozenset(sys.stdlib_module_names) | {  # whose code is not walked through, since it keeps no tensors
    *("torch", "numpy", "scipy", "sympy"),
    *("IPython", "PIL", "_pytest", "hypothesis", "matplotlib", "pandas", "pytest", "rich", "sklearn", "tqdm"),
}
_NO_STATE = _NO_CODE - {"torch", "builtins", "collections", "functools", "types", "weakref", "_weakref", "_thread"}
_ATOMS = (int, float, complex, str, bytes, type(None), torch.dtype, torch.device, torch.Size, CodeType)
Memo: Any = functools._lru_cache_wrapper


class Snapshot:
    """Everything mutable within reach of some objects; `restore` puts it back.

    While the snapshot is open, iterators, random generators, and memoising functions (`lru_cache`) that remember
    tensors are replaced by fresh ones where they were found: what they hold cannot be put back.
    """

    def __init__(self, *roots: Any) -> None:
        self._undo: list[Callable[[], object]] = []
        self._private: list[Callable[[], object]] = []
        self._seen: dict[int, Any] = {}  # and kept, so that no later object gets the identity of one seen
        waiting = list(roots)
        while waiting and len(self._seen) < _MOST:
            thing = waiting.pop()
            if issubclass(type(thing), _ATOMS) or id(thing) in self._seen:
                continue
            self._seen[id(thing)] = thing
            waiting.extend(self._held(thing))
        chance, arrays = random.getstate(), np.random.get_state()
        self._undo += [lambda: random.setstate(chance), lambda: np.random.set_state(arrays)]
        self._seen.clear()
        for replace in self._private:
            replace()

    def restore(self) -> None:
        """Put everything back."""
        for undo in self._undo:
            undo()

    def _held(self, thing: Any) -> Iterable[Any]:
        """Keep the contents of one object, and tell what to look at next."""
        if issubclass(type(thing), torch.Tensor):
            return self._tensor(thing)
        if isinstance(thing, FunctionType):
            return self._function(thing) if _root(thing.__module__) not in _NO_CODE else ()
        if isinstance(thing, type):
            return self._class(thing) if _root(thing.__module__) not in _NO_CODE else ()
        if isinstance(thing, ModuleType | torch.jit.ScriptModule) or _root(type(thing).__module__) in _NO_STATE:
            return ()
        if isinstance(thing, dict):
            content = self._dict(thing)
            return [*content.keys(), *content.values(), *self._more(thing)]
        if isinstance(thing, list | set | deque):
            kind: Any = next(each for each in (list, set, deque) if isinstance(thing, each))
            elements = list(kind.__iter__(thing))
            self._undo.append(functools.partial(_refill, kind, thing, elements))
            return [*elements, *self._more(thing)]
        if isinstance(thing, CellType):
            return self._cell(thing)
        if isinstance(thing, np.ndarray):
            if thing.nbytes <= _LARGE and thing.flags.writeable:
                self._undo.append(functools.partial(np.copyto, thing, thing.copy()))
            return ()
        return self._instance(thing)

    def _tensor(self, tensor: torch.Tensor) -> list[Any]:
        """Its gradient and attributes; its numbers are never written to, since operators get a stand-in."""
        if tensor.requires_grad and tensor.is_leaf:
            self._undo.append(functools.partial(setattr, tensor, "grad", tensor.grad))
        return [vars(tensor)]

    def _dict(self, thing: dict[Any, Any], *, ordered: bool = True) -> dict[Any, Any]:
        """Its true contents: a class of dicts may give others for the same keys."""
        kind, content = _plain(thing), _content(thing)
        self._undo.append(functools.partial(_refill_dict, thing, content, ordered=ordered))
        for key, value in content.items():
            self._replace(value, functools.partial(kind.__setitem__, thing, key))
        return content

    def _function(self, function: FunctionType) -> Iterator[Any]:
        """Its defaults, its closure, its attributes, and the global variables that its code mentions."""
        yield from (function.__defaults__, function.__kwdefaults__, function.__closure__, function.__dict__)
        names = set(_names(function.__code__))
        yield from self._mentioned(function.__globals__, names, set())

    def _mentioned(self, variables: dict[str, Any], names: set[str], done: set[int]) -> Iterator[Any]:
        if id(variables) in done:  # files that import each other
            return
        done.add(id(variables))
        if id(variables) not in self._seen:
            self._seen[id(variables)] = variables
            self._dict(variables, ordered=False)
        for name in names & variables.keys():
            value = variables[name]
            if isinstance(value, ModuleType) and _root(value.__name__) not in _NO_CODE:
                yield from self._mentioned(vars(value), names, done)
            else:
                yield value

    def _class(self, kind: type) -> Iterator[Any]:
        held = dict(vars(kind))
        self._undo.append(functools.partial(_restore_class, kind, held))
        for name, value in held.items():
            self._replace(value, functools.partial(setattr, kind, name))
        yield from held.values()
        yield from kind.__bases__

    def _cell(self, cell: CellType) -> list[Any]:
        try:
            content = cell.cell_contents
        except ValueError:  # not filled yet
            self._undo.append(functools.partial(_unfill, cell))
            return []
        self._undo.append(functools.partial(setattr, cell, "cell_contents", content))
        self._replace(content, functools.partial(setattr, cell, "cell_contents"))
        return [content]

    def _more(self, container: Any) -> list[Any]:
        """What a container of a class of somebody's own holds beside its elements."""
        return [] if type(container).__module__ in ("builtins", "collections") else self._instance(container)

    def _instance(self, thing: Any) -> list[Any]:
        held: list[Any] = [type(thing)]
        attributes = attributes_of(thing)
        if isinstance(attributes, dict):
            held.append(attributes)
        for slot in _slots(type(thing)):
            held.extend(self._slot(thing, slot))
        if not isinstance(attributes, dict):
            held.extend(gc.get_referents(thing))  # tuples, methods, properties, partial functions
        return held

    def _slot(self, thing: Any, slot: Any) -> list[Any]:
        try:
            content = slot.__get__(thing, type(thing))
        except AttributeError:
            self._undo.append(functools.partial(_empty, thing, slot))
            return []
        self._undo.append(functools.partial(slot.__set__, thing, content))
        self._replace(content, functools.partial(slot.__set__, thing))
        return [content]

    def _replace(self, value: Any, put: Callable[[Any], object]) -> None:
        """Have it replaced by one that only this recording uses, if its contents could not be put back."""
        fresh = _fresh(value)
        if fresh is not value:
            self._private.append(functools.partial(put, fresh))


def attributes_of(thing: Any) -> Any:
    """The object's own attributes, past its class's `__getattr__`, which may do anything; None if it has no place."""
    try:
        return object.__getattribute__(thing, "__dict__")
    except AttributeError:
        return None


def _fresh(value: Any) -> Any:
    if isinstance(value, staticmethod | classmethod):
        inner = _fresh(value.__func__)
        return value if inner is value.__func__ else type(value)(inner)
    if isinstance(value, Memo):
        filled = holds(value, torch.Tensor)
        return functools.lru_cache(**value.cache_parameters())(value.__wrapped__) if filled else value
    if isinstance(value, random.Random | torch.Generator) or type(value).__module__ == "itertools":
        return value.clone_state() if isinstance(value, torch.Generator) else copy.copy(value)
    return value


def holds(thing: Any, kind: type, depth: int = 4) -> bool:
    """Whether a memoising function or a container holds an instance of `kind`, a few containers deep."""
    if issubclass(type(thing), kind):
        return True
    opened = issubclass(type(thing), Memo | dict | list | tuple | set) and depth > 0
    return opened and any(holds(each, kind, depth - 1) for each in gc.get_referents(thing))


def _root(name: Any) -> str:
    return name.partition(".")[0] if isinstance(name, str) else ""


def _names(code: CodeType) -> Iterator[str]:
    """The names that a function's code mentions, those of functions within it included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _slots(kind: type) -> Iterator[Any]:
    """The descriptors of `__slots__`."""
    for each in kind.__mro__:
        names = vars(each).get("__slots__", ())
        for name in {*([names] if isinstance(names, str) else names)} - {"__dict__", "__weakref__"}:
            private = f"_{each.__name__.lstrip('_')}{name}" if name.startswith("__") and name[-2:] != "__" else name
            slot = vars(each).get(private)
            if hasattr(slot, "__set__"):
                yield slot


def _empty(thing: Any, slot: Any) -> None:
    with suppress(AttributeError):
        slot.__delete__(thing)


def _unfill(cell: CellType) -> None:
    with suppress(ValueError):
        del cell.cell_contents


def _plain(container: dict[Any, Any]) -> type[dict[Any, Any]]:
    """The class whose methods read and write a dict as it is, whatever its own class makes of them."""
    return OrderedDict if isinstance(container, OrderedDict) else dict


def _content(container: dict[Any, Any]) -> dict[Any, Any]:
    return {key: dict.__getitem__(container, key) for key in _plain(container).__iter__(container)}


def _refill(kind: Any, container: Any, content: list[Any]) -> None:
    if list(map(id, kind.__iter__(container))) == list(map(id, content)):
        return
    kind.clear(container)
    (kind.update if kind is set else kind.extend)(container, content)


def _refill_dict(container: dict[Any, Any], content: dict[Any, Any], *, ordered: bool) -> None:
    """Restore entry by entry, since other threads may be reading; all of it only where the order has changed."""
    kind, now = _plain(container), _content(container)
    for key in now.keys() - content.keys():
        kind.__delitem__(container, key)
    for key, value in content.items():
        if key not in now or now[key] is not value:
            kind.__setitem__(container, key, value)
    if ordered and list(map(id, kind.__iter__(container))) != list(map(id, content)):
        kind.clear(container)
        for key, value in content.items():
            kind.__setitem__(container, key, value)


def _restore_class(kind: type, content: dict[str, Any]) -> None:
    for name in [name for name in vars(kind) if name not in content]:
        delattr(kind, name)
    for name, value in content.items():
        if vars(kind).get(name) is not value and name not in ("__dict__", "__weakref__"):
            setattr(kind, name, value)
