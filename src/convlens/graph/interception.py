"""The recorder: sees every aten operator of the forward pass and writes down what it did to which tensors."""

from dataclasses import replace
from itertools import takewhile
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from convlens.graph.nests import changed, leaves, named_leaves
from convlens.graph.stand_in import StandIns
from convlens.graph.structure import Failure, Graph, ModuleCall, Operation, Ref, Role, Storage, Tensor, refs


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collects operations, tensors, storages and module calls; `graph` hands them out."""

    def __init__(self, module: nn.Module, stand_ins: StandIns) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.stand_ins = stand_ins
        self.module = module
        self.names: dict[nn.Module, list[str]] = {}
        for path, each in module.named_modules(remove_duplicate=False):
            self.names.setdefault(each, []).append(path)
        self.aliases = {path: first for first, *others in self.names.values() for path in others}
        self.operations: list[Operation] = []
        self.tensors: list[Tensor] = []
        self.storages: list[Storage] = []
        self.calls: list[ModuleCall] = []
        self.parameters: dict[str, int] = {}
        self.buffers: dict[str, int] = {}
        self._stack: list[int] = []
        self._occurrences: dict[str, int] = {}
        self._index: Any = WeakTensorKeyDictionary()
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self._given: dict[int, tuple[StorageWeakRef, int]] = {}  # there before, and held by the module or the caller
        self._names: set[str] = set()
        self._refused: tuple[Exception | None, str, tuple[Any, ...]] = (None, "", ())

    # Tensors

    def meet_inputs(self, arguments: Any) -> None:
        """Name the tensors among the arguments before the forward pass uses them."""
        positional, named = arguments
        for prefix, value in [*enumerate(positional), *named.items()]:
            for path, tensor in named_leaves(value, torch.Tensor, str(prefix)):
                if tensor not in self._index:
                    self._meet(tensor, "input", "input" if path == "0" else f"input:{path}")

    def meet_state(self) -> None:
        """Name all parameters and buffers, used or not; a shared one is one tensor with several names."""
        for path, parameter in self.module.named_parameters(remove_duplicate=False):
            self.parameters[path] = self._meet_once(parameter, "parameter", path)
        for path, buffer in self.module.named_buffers(remove_duplicate=False):
            self.buffers[path] = self._meet_once(buffer, "buffer", path)

    def _meet_once(self, tensor: torch.Tensor, role: Role, name: str) -> int:
        known = self._index.get(tensor)
        return self._meet(tensor, role, name) if known is None else int(known)

    def _meet(self, tensor: torch.Tensor, role: Role, name: str = "", producer: int | None = None) -> int:
        index = len(self.tensors)
        self.stand_ins.saw(tensor)
        real = self.stand_ins.real(tensor) if role in ("parameter", "buffer", "constant") else None
        self.tensors.append(
            Tensor(
                index=index,
                role=role,
                shape=tuple(tensor.shape),
                dtype=tensor.dtype,
                stride=tuple(tensor.stride()) if tensor.layout is torch.strided else (),
                offset=int(tensor.storage_offset()) if tensor.layout is torch.strided else 0,
                storage=self._storage_of(tensor, -1 if producer is None else producer),
                name=name,
                producer=producer,
                requires_grad=bool(real is not None and real.requires_grad),
                value=real,
            )
        )
        self._index[tensor] = index
        return index

    def _storage_of(self, tensor: torch.Tensor, born: int) -> int:
        if tensor.layout is not torch.strided:
            self.storages.append(Storage(len(self.storages), 0, born, None))
            return len(self.storages) - 1
        storage = tensor.untyped_storage()
        weak = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
        known = self._alive.get(weak.cdata) or self._given.get(weak.cdata)
        if known is not None:
            return known[1]
        (self._given if born < 0 else self._alive)[weak.cdata] = (weak, len(self.storages))
        self.storages.append(Storage(len(self.storages), storage.nbytes(), born, None))
        return len(self.storages) - 1

    def _bury(self) -> None:
        """Note which storages nobody holds any more; called before each operation."""
        last = len(self.operations) - 1
        dead = [key for key, (weak, _) in self._alive.items() if weak.expired()]  # type: ignore[no-untyped-call]
        for key in dead:
            _, index = self._alive.pop(key)
            self.storages[index] = replace(self.storages[index], died=last)

    def _ref(self, value: Any) -> Any:
        """Replace tensors by references; tensors never seen before are constants that the code brought along."""
        return changed(value, torch.Tensor, lambda tensor: Ref(self._meet_once(tensor, "constant", "")))

    # Operators

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Write down what one operator does; in inference mode it is called again outside, to see its parts."""
        arguments, keywords = args, kwargs or {}
        if torch.is_inference_mode_enabled():
            with torch.inference_mode(False), torch.no_grad(), self:
                return func(*arguments, **keywords)
        if "lift" not in func.__name__:
            arguments, keywords = self.stand_ins.instead((arguments, keywords))
        if func is torch.ops.aten._local_scalar_dense.default:
            known = self.stand_ins.real(arguments[0])
            if known is not None and known.device.type != "meta":
                with unset_fake_temporarily():
                    return known.item()
        self._bury()
        named, named_keywords = self._ref(arguments), self._ref(keywords)
        try:
            result = func(*arguments, **keywords)
        except Exception as error:
            self._refused = (error, str(func), named)
            raise
        if leaves(result, torch.Tensor) or func._schema.is_mutable:
            self._write_down(func, arguments, keywords, (named, named_keywords), result)
        return result

    def _write_down(self, func: Any, arguments: Any, keywords: Any, named: tuple[Any, Any], result: Any) -> None:
        index = len(self.operations)
        written = _written(func, arguments, keywords)
        before = [int(self._index[tensor]) for tensor in written]
        after = [self._meet(tensor, "computed", producer=index) for tensor in written]
        outputs = []
        for tensor in leaves(result, torch.Tensor):
            if any(tensor is each for each in written):
                outputs.append(int(self._index[tensor]))
            else:
                outputs.append(self._output(func, tensor, index, arguments))
        path = self.calls[self._stack[-1]].path if self._stack else ""
        self.operations.append(
            Operation(
                index=index,
                name=self._name(path, func),
                target=str(func),
                operator=func,
                arguments=named[0],
                keywords=named[1],
                inputs=tuple(refs((named[0], named[1]))),
                outputs=tuple(outputs or after),
                writes=tuple(zip(before, after, strict=True)),
                module=path,
                call=self._stack[-1] if self._stack else 0,
            )
        )

    def _output(self, func: Any, tensor: torch.Tensor, producer: int, arguments: Any) -> int:
        if "lift" in func.__name__ and arguments and not isinstance(arguments[0], FakeTensor):
            self.stand_ins.stands_for(tensor, arguments[0])
            index = self._meet(tensor, "constant")
            self.tensors[index] = replace(self.tensors[index], producer=producer)
            return index
        return self._meet(tensor, "computed", producer=producer)

    def _name(self, path: str, func: Any) -> str:
        kind = str(func).split(".")[1]
        plain = f"{path}.{kind}" if path else kind
        name, count = plain, 1
        while name in self._names:
            count += 1
            name = f"{plain}_{count}" if not plain.endswith("_") else f"{plain}{count}"
        self._names.add(name)
        return name

    # Modules

    def knows(self, module: nn.Module) -> bool:
        """Whether `module` belongs to the recorded tree."""
        return module in self.names

    def _place(self, module: nn.Module) -> str:
        """Of a module's names the one nearest to its caller, so that what it costs is counted where it is called."""
        caller = self.calls[self._stack[-1]].path.split(".") if self._stack else []

        def nearness(path: str) -> int:
            pairs = zip(path.split("."), caller, strict=False)
            return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

        return max(self.names[module], key=nearness)

    def enter(self, module: nn.Module, arguments: Any) -> None:
        """Note that `module` begins."""
        path, first = self._place(module), self.names[module][0]
        occurrence = self._occurrences.get(first, 0)
        self._occurrences[first] = occurrence + 1
        self.calls.append(
            ModuleCall(
                index=len(self.calls),
                path=path,
                kind=kind_of(module),
                occurrence=occurrence,
                parent=self._stack[-1] if self._stack else None,
                arguments=self._known(arguments),
                results=None,
                first=len(self.operations),
                last=len(self.operations),
                finished=False,
            )
        )
        self._stack.append(len(self.calls) - 1)

    def leave(self, module: nn.Module, results: Any) -> None:
        """Note that `module` ended; inner calls that an exception cut short end with it."""
        while self._stack:
            index = self._stack.pop()
            call = self.calls[index]
            if call.path in self.names[module]:
                done = replace(call, results=self._known(results), last=len(self.operations), finished=True)
                self.calls[index] = done
                return
            self.calls[index] = replace(call, last=len(self.operations))

    def _known(self, value: Any, depth: int = 3) -> Any:
        """References to the tensors in a nest; other objects are opened `depth` deep, and kept if they hold none."""

        def known(leaf: Any) -> Any:
            if isinstance(leaf, torch.Tensor):
                return self._ref(self.stand_ins.instead(leaf))
            attributes = getattr(leaf, "__dict__", None)
            if not isinstance(attributes, dict) or isinstance(leaf, nn.Module | type) or callable(leaf):
                return leaf
            held = self._known(dict(attributes), depth - 1) if depth else {}
            return held if any(True for _ in refs(held)) else type(leaf).__name__

        return changed(value, object, known)

    # The end

    def graph(self, arguments: Any, results: Any, error: Exception | None) -> Graph:
        """Hand out what was recorded."""
        self._bury()
        failure = None
        if error is not None:
            call = self._stack[-1] if self._stack else None
            refused, target, given = self._refused
            if refused is not error:
                target, given = "", ()
            failure = Failure(error, target, given, self.calls[call].path if call is not None else "", call)
            for index in self._stack:
                self.calls[index] = replace(self.calls[index], last=len(self.operations))
        came_out = self._known(results)
        went_in = self._known(arguments)
        return Graph(
            operations=tuple(self.operations),
            tensors=tuple(self.tensors),
            storages=tuple(self.storages),
            calls=tuple(self.calls),
            arguments=went_in,
            inputs=tuple(tensor.index for tensor in self.tensors if tensor.role == "input"),
            results=came_out,
            outputs=tuple(refs(came_out)),
            modules={first: kind_of(module) for module, (first, *_) in self.names.items()},
            aliases=self.aliases,
            parameters=self.parameters,
            buffers=self.buffers,
            failure=failure,
        )


def kind_of(module: nn.Module) -> str:
    """The name of a module's class, of the one that it was compiled from for a scripted module."""
    return str(getattr(module, "original_name", "") or type(module).__name__)


def _written(func: Any, arguments: Any, keywords: Any) -> list[torch.Tensor]:
    """The tensors that the operator's schema says it changes."""
    found: list[torch.Tensor] = []
    for position, declared in enumerate(func._schema.arguments):
        if declared.alias_info is None or not declared.alias_info.is_write:
            continue
        value = keywords.get(declared.name) if declared.kwarg_only else None
        if value is None and position < len(arguments):
            value = arguments[position]
        found.extend(tensor for tensor in leaves(value, torch.Tensor) if not any(tensor is each for each in found))
    return found
