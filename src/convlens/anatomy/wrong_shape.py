"""A forward pass that failed: what the failing layer expected, what it got, and the line to change."""

from typing import TYPE_CHECKING, Any

from torch import nn

from convlens.anatomy.fitting_size import smallest_fitting
from convlens.errors import ConvlensError
from convlens.graph import Failure
from convlens.graph.structure import refs
from convlens.quantities import shape

if TYPE_CHECKING:
    from convlens.anatomy.anatomy import Anatomy


class ForwardError(ConvlensError):
    """The forward pass cannot be followed to its end; `anatomy` holds everything up to the failing operation."""

    def __init__(self, message: str, anatomy: "Anatomy") -> None:
        super().__init__(message)
        self.anatomy = anatomy


class WrongShapeError(ForwardError):
    """The forward pass fails on this input."""


class ValuesDecideError(ForwardError):
    """What the forward pass does depends on the values of a tensor, and an inspection has none."""


def explain_failure(sheet: "Anatomy") -> ForwardError:
    """Build the error for a sheet whose graph ends in a failure."""
    failure = sheet.graph.failure
    assert failure is not None
    module = sheet.module.get_submodule(failure.module) if failure.module in sheet.graph.modules else sheet.module
    if _asks_for_values(failure.error):
        return ValuesDecideError(_undecided(sheet, failure), sheet)
    place = f"{failure.module} ({type(module).__name__})" if failure.module else f"the forward of {sheet.name}"
    advice = _types(sheet, failure, module)
    if advice:
        return WrongShapeError(f"{place} {advice}", sheet)  # another size would not help
    advice = _layer(module, _shapes_in(sheet, failure)) or _operands(sheet, failure)
    message = f"{place} {advice}" if advice else f"{place} fails: {_text(failure.error)}"
    size = smallest_fitting(sheet)
    if size:
        message += f"; or give this network an input of {shape(size)}, the smallest that fits"
    return WrongShapeError(message, sheet)


def _asks_for_values(error: Exception) -> bool:
    """Whether numbers were asked for, by an operator or as an array of NumPy."""
    named = type(error).__name__ in ("DataDependentOutputException", "DynamicOutputShapeException")
    return named or ".numpy() is not supported for tensor subclasses" in str(error)


def _undecided(sheet: "Anatomy", failure: Failure) -> str:
    kind = failure.target.split(".")[1] if failure.target else "its code"
    what = {"_local_scalar_dense": "the value of a tensor (item, or an if)"}.get(
        kind, f"the values of a tensor ({kind})"
    )
    place = f"{failure.module!r}" if failure.module else sheet.name
    return (
        f"what {place} does depends on {what}, which an inspection does not compute; "
        "let it run on numbers with real=True (--real), or inspect the part before it"
    )


def _text(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _shapes_in(sheet: "Anatomy", failure: Failure) -> list[tuple[int, ...]]:
    """Shapes of the tensors that the failing module was called with."""
    if failure.call is None:
        return []
    return [sheet.graph.tensors[index].shape for index in refs(sheet.graph.calls[failure.call].arguments)]


def _types(sheet: "Anatomy", failure: Failure, module: nn.Module) -> str:
    """What is wrong with the types of a layer's input, "" if they are not the fault."""
    if failure.call is None:
        return ""
    given = next((sheet.graph.tensors[index].dtype for index in refs(sheet.graph.calls[failure.call].arguments)), None)
    if given is None:
        return ""
    told = str(given).removeprefix("torch.")
    if isinstance(module, nn.Embedding) and (given.is_floating_point or given.is_complex):
        return f"looks up indices but gets {told}; give whole numbers: x.long(), or --size 1,128:int64"
    if not isinstance(module, nn.Linear | nn.modules.conv._ConvNd) or given == module.weight.dtype:
        return ""
    own = str(module.weight.dtype).removeprefix("torch.")
    return f"has weights of type {own} but gets {told}; give the network its own type: x.to(torch.{own})"


def _layer(module: nn.Module, shapes: list[tuple[int, ...]]) -> str:
    """What a layer of torch.nn expected and got, "" if the fault is another."""
    if not shapes:
        return ""
    given = shapes[0]
    got = f"gets {shape(given)}"
    if isinstance(module, nn.Linear) and given[-1] != module.in_features:
        return (
            f"expects {module.in_features} features but {got}, which has {given[-1]}; "
            f"change it to Linear(in_features={given[-1]}, out_features={module.out_features})"
        )
    if isinstance(module, nn.modules.conv._ConvNd):
        return _convolution(module, given)
    axes = next((n for n in (1, 2, 3) if type(module).__name__.endswith(f"Norm{n}d")), 0)
    if isinstance(module, nn.modules.batchnorm._BatchNorm) and axes > 1 and len(given) != axes + 2:
        batch = f"; give the batch too: 1×{shape(given)}" if len(given) == axes + 1 else ""
        return f"expects {axes + 2} dimensions (batch, channels, {axes} of space) but {got}{batch}"
    if isinstance(module, nn.modules.batchnorm._BatchNorm) and len(given) > 1 and given[1] != module.num_features:
        name = type(module).__name__
        return f"expects {module.num_features} channels but {got}; change it to {name}(num_features={given[1]})"
    if isinstance(module, nn.LayerNorm) and given[-len(module.normalized_shape) :] != module.normalized_shape:
        expected, last = module.normalized_shape, given[-len(module.normalized_shape) :]
        return f"normalises {shape(expected)} but {got}; change it to LayerNorm(normalized_shape={list(last)})"
    if isinstance(module, nn.GroupNorm) and len(given) > 1 and given[1] != module.num_channels:
        groups = module.num_groups
        return f"expects {module.num_channels} channels but {got}; change it to GroupNorm({groups}, {given[1]})"
    if isinstance(module, nn.modules.pooling._MaxPoolNd | nn.modules.pooling._AvgPoolNd):
        return f"has windows of {module.kernel_size}, larger than its input: it {got}"
    return ""


def _convolution(module: nn.modules.conv._ConvNd, given: tuple[int, ...]) -> str:
    name, spatial = type(module).__name__, len(module.kernel_size)
    if len(given) not in (spatial + 1, spatial + 2):
        return f"expects {spatial + 2} dimensions (batch, channels, {spatial} of space) but gets {shape(given)}"
    channels = given[-spatial - 1]
    if len(given) == spatial + 1 and channels != module.in_channels == given[1]:
        return f"expects {spatial + 2} dimensions (batch, channels, {spatial} of space) but gets {shape(given)}"
    if channels != module.in_channels:
        wanted = module.in_channels
        if given[-1] == wanted:
            first = (*given[: -spatial - 1], wanted, *given[-spatial - 1 : -1])
            return f"expects {wanted} channels first but gets {shape(given)}, which has them last; give {shape(first)}"
        return (
            f"expects {wanted} channels but gets {shape(given)}, which has {channels}; change it to "
            f"{name}(in_channels={channels}, out_channels={module.out_channels}, …) or give {wanted} channels"
        )
    extent = [dilation * (kernel - 1) + 1 for dilation, kernel in zip(module.dilation, module.kernel_size, strict=True)]
    return f"needs at least {shape(extent)} after padding {module.padding} but gets {shape(given)}"


def _operands(sheet: "Anatomy", failure: Failure) -> str:
    """What an operation outside torch.nn's layers was given."""
    shapes = [sheet.graph.tensors[index].shape for index in refs(failure.arguments)]
    kind = failure.target.split(".")[1] if failure.target else ""
    if not kind or not shapes:
        return ""
    together = " and ".join(shape(each) for each in shapes)
    reason = _reason(kind, shapes, failure.arguments)
    return f"cannot {kind.strip('_')} {together}: {reason or _text(failure.error)}"


def _reason(kind: str, shapes: list[tuple[int, ...]], arguments: Any) -> str:
    if kind == "cat" and len(shapes) > 1:
        return "all but the joined dimension must agree; end the branches in the same size (stride, padding)"
    if kind in ("mm", "bmm", "addmm", "baddbmm") and len(shapes) > 1:
        inner, outer = shapes[-2][-1], shapes[-1][-2]
        return f"the last dimension of the first ({inner}) must be the last but one of the second ({outer})"
    if kind in ("view", "_unsafe_view", "reshape"):
        wanted = arguments[1] if len(arguments) > 1 else "that shape"
        return f"its elements do not make {wanted}; flatten(1) fits any size"
    if len(shapes) == 2:
        pairs = zip(reversed(shapes[0]), reversed(shapes[1]), strict=False)
        wrong = [-1 - i for i, (one, other) in enumerate(pairs) if one != other and 1 not in (one, other)]
        if wrong and wrong[-1] == -3 and len(wrong) == 1 and len(shapes[0]) == len(shapes[1]):
            one, other = shapes[0][-3], shapes[1][-3]
            return f"{one} and {other} channels; end both branches with as many, as by a 1×1 convolution on one of them"
        if wrong:
            return f"they differ in dimension {wrong[-1]}; end both branches in the same size (stride, padding)"
    return ""
