"""The calls of modules in execution order: what each was given, made and cost."""

from dataclasses import dataclass

from convlens.anatomy.anatomy import Anatomy
from convlens.anatomy.rows import window_of
from convlens.graph.structure import refs

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class CallRow:
    """One call of one module, with everything that happened inside it.

    Attributes:
        path: the module's path; of several, that nearest to the caller.
        kind: its class.
        occurrence: 0 for the first call of this module.
        depth: 0 for the outermost call.
        inputs, outputs: shapes of the tensors that went in and came out.
        kernel, stride: of the convolutions and poolings inside, where all are alike; else ().
        dtype: of the first output, "" where there is none.
        parameters: elements of parameters that operations inside are the first to use.
        macs, flops: sums over the operations inside, without those that have no formula.
        share: `macs` as a fraction of the network's, 0 where it has none.
        not_counted: how many operations inside have no formula.
    """

    path: str
    kind: str
    occurrence: int
    depth: int
    inputs: Shapes
    outputs: Shapes
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str
    parameters: int
    macs: int
    flops: int
    share: float
    not_counted: int


def call_rows(sheet: Anatomy) -> tuple[CallRow, ...]:
    """One row a call, in the order in which the calls began."""
    found: list[CallRow] = []
    depths: dict[int, int] = {}
    for call in sheet.graph.calls:
        depths[call.index] = 0 if call.parent is None else depths[call.parent] + 1
        rows = sheet.rows[call.first : call.last]
        made = [sheet.graph.tensors[index] for index in refs(call.results)]
        kernel, stride = window_of(rows)
        macs = sum(row.macs or 0 for row in rows)
        found.append(
            CallRow(
                path=call.path,
                kind=call.kind,
                occurrence=call.occurrence,
                depth=depths[call.index],
                inputs=tuple(sheet.graph.tensors[index].shape for index in refs(call.arguments)),
                outputs=tuple(tensor.shape for tensor in made),
                kernel=kernel,
                stride=stride,
                dtype=str(made[0].dtype).removeprefix("torch.") if made else "",
                parameters=sum(row.parameters for row in rows),
                macs=macs,
                flops=sum(row.flops or 0 for row in rows),
                share=macs / sheet.macs if sheet.macs else 0.0,
                not_counted=sum(row.macs is None or row.flops is None for row in rows),
            )
        )
    return tuple(found)
