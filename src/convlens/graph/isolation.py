"""A forward pass under stand-ins that leaves nothing behind: not on the module, and nowhere else."""

import copy
import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import CellType, FrameType
from typing import Any

import torch
from torch import nn
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch._subclasses.fake_tensor import FakeTensor

from convlens.errors import ConvlensError
from convlens.graph.snapshot import Memo, Snapshot, attributes_of, holds
from convlens.graph.stand_in import StandIns

_DEPTH = 8  # containers within containers that a lost stand-in is looked for in


@contextmanager
def isolated(
    module: nn.Module, stand_ins: StandIns, *others: Any, training: bool, gradients: bool
) -> Iterator[Callable[[], nn.Module]]:
    """Give a module whose parameters and buffers are stand-ins, in the mode asked for; put everything back at the end.

    It is `module` itself, with copies in place of what TorchScript has compiled, which keeps its state where Python
    cannot see it. It is given by a function, so that no variable of the caller keeps a copy alive. What a forward pass
    writes to lists, objects, classes, closures and globals is undone as well.

    Args:
        others: further objects that the forward pass can reach, such as its arguments.

    Raises:
        ConvlensError: a scripted module that cannot be copied.
    """
    originals = {path: each for path, each in module.named_modules() if isinstance(each, torch.jit.ScriptModule)}
    outermost = [path for path in originals if not any(_within(path, other) for other in originals)]
    with _plainly():
        copies = {path: _copied(originals[path], path) for path in outermost}
        snapshot = Snapshot(module, *others)
        try:
            for path, each in copies.items():
                if path:
                    parent, _, name = path.rpartition(".")
                    module.get_submodule(parent)._modules[name] = each
            for path, each in copies.get("", module).named_modules():
                _swap(each, originals.get(path, each), stand_ins, gradients=gradients)
                each.training = training
            yield lambda: copies.get("", module)
        finally:
            copies.clear()
            snapshot.restore()


def _within(path: str, other: str) -> bool:
    return path != other and (not other or path.startswith(f"{other}."))


def _copied(module: nn.Module, path: str) -> nn.Module:
    try:
        return copy.deepcopy(module)
    except Exception as error:
        place = f"{path} is" if path else "it is"
        raise ConvlensError(
            f"{place} compiled by TorchScript and cannot be copied ({' '.join(str(error).split())}), so inspecting it "
            "would change it; inspect the module that it was made from"
        ) from None


def _swap(module: nn.Module, original: nn.Module, stand_ins: StandIns, *, gradients: bool) -> None:
    for name, parameter in original._parameters.items():
        if parameter is not None:
            wanted = gradients and parameter.requires_grad
            module._parameters[name] = stand_ins.of(parameter, requires_grad=wanted)
    for name, buffer in original._buffers.items():
        if buffer is not None:
            module._buffers[name] = stand_ins.of(buffer)


@contextmanager
def _plainly() -> Iterator[None]:
    """Step by step, and failures kept for us to report, not logged.

    Attention not in one fused kernel; TorchScript and the compiler not optimising, since what they learn from a run
    stays with their functions; no inference mode, which hides what composite operators are made of.
    """
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    fast, silent = torch.backends.mha.get_fastpath_enabled(), logger.disabled
    torch.backends.mha.set_fastpath_enabled(False)
    logger.disabled = True
    try:
        with ExitStack() as stack:
            stack.enter_context(temporarily_clear_interpreter_stack())  # of torch.func: vmap, grad
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.jit.optimized_execution(False))  # type: ignore[attr-defined]
            stack.enter_context(torch.compiler.set_stance("force_eager"))
            stack.enter_context(torch.autograd.set_detect_anomaly(False))
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        logger.disabled = silent


@contextmanager
def expelled(stand_ins: StandIns) -> Iterator[None]:
    """At the end, take what outlived the recording out of wherever the module's code has put it.

    Raises:
        ConvlensError: a stand-in is kept in a place from which it cannot be taken.
    """
    try:
        yield
    except BaseException:
        stand_ins.forget()
        _expel(stand_ins)  # as far as can be: what the traceback holds dies with it
        raise
    stand_ins.forget()
    holders = _expel(stand_ins)
    if stand_ins.alive():
        kinds = ", ".join(sorted({type(each).__name__ for each in holders})) or "code outside Python"
        raise ConvlensError(
            f"its forward pass keeps tensors where they cannot be taken back from (held by: {kinds}), so that they "
            "would turn up later; inspect it in a process of its own, or clear that store before the module is used"
        )


def _expel(stand_ins: StandIns) -> list[Any]:
    """Take out what can be; give the holders from which nothing could be taken."""
    if not stand_ins.alive():
        return []
    set_aside = gc.get_freeze_count() > 0
    gc.unfreeze()  # gc does not see what a server has set aside
    try:
        return _expel_seen(stand_ins)
    finally:
        if set_aside:
            gc.freeze()


def _expel_seen(stand_ins: StandIns) -> list[Any]:
    for fake in stand_ins.alive():  # one noted on another that its gradient leads back to: a circle that gc cannot see
        for name in [name for name, value in vars(fake).items() if holds(value, torch.Tensor)]:
            delattr(fake, name)
        fake.grad = None
    del fake
    gc.collect()
    for each in gc.get_objects() if stand_ins.alive() else ():
        if type(each) is Memo and holds(each, FakeTensor):
            each.cache_clear()
    holders = _taken_out(stand_ins.alive(), _DEPTH)
    if stand_ins.alive():
        gc.collect()
    return holders


def _taken_out(things: Sequence[Any], depth: int) -> list[Any]:
    """Remove things from the containers that hold them; give the holders from which nothing can be removed."""
    stuck: list[Any] = []
    own = {id(things), id(stuck)}
    for holder in gc.get_referrers(*things) if things else ():
        if id(holder) in own or isinstance(holder, FrameType):
            continue
        if not _removed(holder, {id(each) for each in things}):
            stuck.append(holder)
    above = [each for each in stuck if isinstance(each, tuple | frozenset)]
    del things
    if above and depth:
        rest = [each for each in stuck if not isinstance(each, tuple | frozenset)]
        del stuck
        return rest + _taken_out(above, depth - 1)
    return stuck


def _removed(holder: Any, things: set[int]) -> bool:
    if isinstance(holder, dict):
        for key in [key for key, value in holder.items() if id(value) in things or id(key) in things]:
            del holder[key]
    elif isinstance(holder, list):
        holder[:] = [each for each in holder if id(each) not in things]
    elif isinstance(holder, set):
        for each in [each for each in holder if id(each) in things]:
            holder.discard(each)
    elif isinstance(holder, CellType):
        del holder.cell_contents
    elif isinstance(attributes_of(holder), dict) and not isinstance(holder, torch.Tensor | type):
        return _removed(vars(holder), things)
    else:
        return False
    return True


def without_frames(error: Exception) -> Exception:
    """The same error without its traceback, whose frames hold every tensor of the forward pass."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            each.args = tuple(str(given) if holds(given, torch.Tensor) else given for given in each.args)
            waiting += [each.__cause__, each.__context__]
    return error
