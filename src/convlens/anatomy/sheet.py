"""An anatomy that shows itself, and `inspect`, which makes it."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from convlens.anatomy import tables
from convlens.anatomy.anatomy import Anatomy
from convlens.anatomy.effective import EffectiveField, effective_receptive_field
from convlens.anatomy.wrong_shape import explain_failure
from convlens.errors import ConvlensError
from convlens.graph import record


class Sheet(Anatomy):
    """An anatomy with its tables, for a terminal, a notebook and other programs; see `convlens.anatomy.tables`."""

    def to_text(self, depth: int | None = None, width: int | None = None) -> str:
        """The table of modules down to `depth`, with the totals, for a terminal."""
        return tables.as_text(self, tables.modules_table(self, depth), width)

    def to_html(self, depth: int | None = None) -> str:
        """The table of modules as a piece of HTML."""
        return tables.as_html(self, tables.modules_table(self, depth))

    def to_json(self) -> str:
        """Totals, modules and operations as a JSON text."""
        return tables.as_json(self)

    def to_pandas(self) -> Any:
        """The rows as a `pandas.DataFrame`, one operation a line."""
        from pandas import DataFrame

        return DataFrame(tables.records(self))

    def effective_receptive_field(
        self, at: str, unit: Sequence[int] | None = None, *, images: Any = None, count: int = 16, seed: int = 0
    ) -> EffectiveField:
        """How much each pixel really moves a unit, measured by gradients; see `anatomy.effective`."""
        return effective_receptive_field(self, at, unit, images=images, count=count, seed=seed)

    def __repr__(self) -> str:
        return self.to_text(depth=2)

    def _repr_html_(self) -> str:
        return self.to_html()


def inspect(
    module: nn.Module,
    *inputs: Any,
    input_size: Any = None,
    keywords: Mapping[str, Any] | None = None,
    name: str = "",
    real: bool = False,
) -> Sheet:
    """Work out the anatomy of any module for one input, without computing a number of it.

    Args:
        module: any `nn.Module`. It is looked at in evaluation mode and left as it was.
        inputs: for each argument of `forward` a size such as `(3, 224, 224)`, a batch of 1 being added, a tensor, or
            nests of these; see `convlens.graph.record`.
        input_size: the same as one positional size, by name.
        keywords: arguments of `forward` that are given by name, of the same kinds.
        name: what tables call it; its class if not given.
        real: compute the numbers, where what the forward pass does depends on them, such as a detector's; what is told
            holds for these inputs.

    Raises:
        WrongShapeError: the forward pass fails on such an input; its `anatomy` goes up to the failure.
        ValuesDecideError: what the forward pass does depends on values; its `anatomy` goes up to there.

    >>> sheet = inspect(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()), (3, 32, 32))
    >>> sheet.parameters, sheet.macs
    (224, 221184)
    """
    if not isinstance(module, nn.Module):
        raise ConvlensError(
            f"inspect takes a torch.nn.Module, not {module!r}; make one, as convlens.create('resnet18')"
        )
    given = inputs if input_size is None else (*inputs, input_size)
    if not (given or keywords) or (len(given) == 1 and isinstance(given[0], (int, float, str))):
        got = f", not {given[0]!r}" if given else ""
        raise ConvlensError(f"inspect needs an input size{got}, such as convlens.inspect(net, (3, 224, 224))")
    keywords = dict(keywords or {})
    graph = record(module, *given, keywords=keywords, real=real)
    sheet = Sheet(graph=graph, name=name or type(module).__name__, module=module, inputs=given, keywords=keywords)
    if graph.failure is not None:
        raise explain_failure(sheet)
    return sheet
