"""What the engine executes: steps with their kernels, weights packed for them, and one arena of memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convlens.engine.batching import rows_of_a_batch
from convlens.engine.draft import Draft, Layer
from convlens.engine.memory import aligned, lay_out, nbytes
from convlens.engine.tuning import Tuner
from convlens.engine.types import settle_types

Precision = Literal["float32", "bfloat16", "int8"]


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """One row of a plan's table.

    Attributes:
        op, kernel, tile: what runs.
        shape: (C, H, W) of its result.
        names: the graph's operations that it does.
        weight_bytes: of its packed weights.
        macs: multiply-adds for one image.
        microseconds: measured when its kernel was chosen; 0 if nothing was measured.
    """

    op: str
    kernel: str
    tile: tuple[int, ...]
    shape: tuple[int, int, int]
    names: tuple[str, ...]
    weight_bytes: int
    macs: float
    microseconds: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A network as the kernels take it.

    Attributes:
        description: the program: tensors and steps, as `convlens_kernels` defines them.
        constants: packed weights.
        steps: the program as a table.
        precision: of maps and weights; sums are float32 always, or exact.
        threads: that it was chosen for.
    """

    description: Mapping[str, Any]
    constants: tuple[NDArray[np.uint8], ...] = field(repr=False)
    steps: tuple[PlannedStep, ...] = field(repr=False)
    precision: Precision
    threads: int

    def program(self, *, threads: int) -> Any:
        """Make it executable, as a plan that was read from a file is: a `convlens_kernels.Program`."""
        import convlens_kernels as kernels

        return kernels.Program(self.description, self.constants, threads=threads)

    @property
    def arena_bytes(self) -> int:
        """Of activations, for one image."""
        return int(self.description["arena"])

    @property
    def weight_bytes(self) -> int:
        """Of packed weights."""
        return sum(constant.size for constant in self.constants)


def make_plan(
    draft: Draft,
    *,
    precision: Precision,
    threads: int,
    tune: bool,
    pixels: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
) -> Plan:
    """Choose kernels for a fused draft, lay out its memory and pack its weights.

    Args:
        draft: of layers; for int8, one that `quantise` has been at.
        precision: of maps and weights; for int8, what is not int8 is bfloat16 where the processor has it.
        threads: that a call will use.
        tune: whether kernels and tiles are measured here.
        pixels: mean and deviation of each channel, for a program that begins at uint8 (N, H, W, C); None for one that
            begins at float32 (N, C, H, W).
    """
    return _Maker(draft, precision, threads, tune, pixels).plan()


class _Maker:
    def __init__(
        self,
        draft: Draft,
        precision: Precision,
        threads: int,
        tune: bool,
        pixels: tuple[tuple[float, ...], tuple[float, ...]] | None,
    ) -> None:
        self.draft = draft
        self.precision: Precision = precision
        self.real = _real(precision)
        self.tuner = Tuner(threads, measure=tune)
        self.threads = threads
        self.pixels = pixels
        self.tensors: list[dict[str, Any]] = []
        self.number: dict[int, int] = {}  # of a value's tensor
        self.offsets: dict[int, int] = {}
        self.rows: list[int] = []

    def plan(self) -> Plan:
        """Everything in order."""
        import convlens_kernels as kernels

        draft = self.draft
        self._convert_input()
        draft.outputs = tuple([self._convert_output(value) for value in draft.outputs])
        settle_types(draft)
        self._join_depthwise()
        self.rows, aliases = rows_of_a_batch(draft)
        outside = frozenset({draft.input, *draft.outputs, *self.rows})
        layout = lay_out(draft, item_bytes=self._item_bytes, outside=outside, aliases=aliases)
        self.offsets, batch_arena = dict(layout.offsets), 0
        for value in self.rows:
            self.offsets[value] = batch_arena
            batch_arena += aligned(nbytes(draft.values[value], self._item_bytes))
        made = [self._step(layer) for layer in layout.layers]
        steps: list[dict[str, Any]] = []
        constants: list[NDArray[np.uint8]] = []
        for step, packed, _ in made:
            if packed.size:
                step["constant"] = len(constants)
                constants.append(packed)
            steps.append(step)
        self.tuner.keep()
        description = {
            "isa": kernels.isa(),
            "arena": layout.arena,
            "batch_arena": batch_arena,
            "inputs": [self._tensor(draft.input)],
            "outputs": [self._tensor(value) for value in draft.outputs],
            "tensors": self.tensors,
            "steps": steps,
        }
        return Plan(
            description=description,
            constants=tuple(constants),
            steps=tuple(row for _, _, row in made),
            precision=self.precision,
            threads=self.threads,
        )

    # The ends

    def _convert_input(self) -> None:
        """A first convolution reads the images as they come; for anything else they are put into blocks first."""
        draft = self.draft
        if draft.begins_with_convolutions():
            return
        given = draft.values[draft.input]
        blocked = draft.value(given.channels, given.height, given.width)

        def moved(value: int) -> int:
            return blocked if value == draft.input else value

        for layer in draft.layers:
            layer.values = {name: moved(value) for name, value in layer.values.items()}
            if "parts" in layer.settings:
                layer.settings["parts"] = [moved(part) for part in layer.settings["parts"]]
        draft.outputs = tuple(moved(value) for value in draft.outputs)
        draft.layers.insert(0, Layer(op="convert", values={"x": draft.input, "y": blocked}, names=("input",)))

    def _convert_output(self, value: int) -> int:
        made = self.draft.values[value]
        y = self.draft.value(made.channels, made.height, made.width)
        self.draft.layers.append(Layer(op="convert", values={"x": value, "y": y}, names=("output",)))
        return y

    # Layers into steps

    def _join_depthwise(self) -> None:
        """A convolution and the depthwise one that alone reads it, in bands of rows, where that is faster."""
        draft = self.draft
        made_by, uses = draft.producers(), draft.uses()
        for layer in list(draft.layers):
            first = made_by.get(layer.x) if layer.op == "convolution" else None
            if first is None or not self._can_join(first, layer) or uses[layer.x] != 1:
                continue
            joined = _joined(first, layer, at_the_image=first.x == draft.input)
            if self._is_faster(joined, (first, layer)):
                draft.layers[draft.layers.index(layer)] = joined
                draft.layers.remove(first)
        self.tensors, self.number = [], {}

    def _can_join(self, first: Layer, second: Layer) -> bool:
        values, settings = self.draft.values, second.settings
        depthwise = settings["groups"] == values[second.x].channels == values[second.y].channels
        if first.op != "convolution" or set(first.values) != {"x", "y"} or not depthwise:
            return False
        if settings["dilation"] != [1, 1] or first.settings["groups"] != 1:
            return False
        if first.settings.get("compute") == "int8" and values[first.x].scale is None:
            return False
        if first.x == self.draft.input:
            return bool(first.settings["dilation"] == [1, 1])
        plain = first.settings["kernel"] == [1, 1] == first.settings["stride"]
        return plain and not any(first.settings["padding"])

    def _is_faster(self, joined: Layer, apart: tuple[Layer, Layer]) -> bool:
        import convlens_kernels as kernels

        step = self._description(joined)
        try:
            able = bool(kernels.variants(step, self.tensors))
        except ValueError:
            return False
        if not able or not self.tuner.measures:
            return able
        together = self._choose(joined)[1]
        return together <= sum(self._choose(layer)[1] for layer in apart)

    def _step(self, layer: Layer) -> tuple[dict[str, Any], NDArray[np.uint8], PlannedStep]:
        import convlens_kernels as kernels

        chosen, microseconds = self._choose(layer)
        step = self._description(layer) | chosen
        packed = kernels.pack(step, self.tensors, self._weights(layer))
        y = self.draft.values[layer.y]
        row = PlannedStep(
            op=layer.op,
            kernel=str(step.get("variant", "")),
            tile=tuple(step.get("tile", ())),
            shape=(y.channels, y.height, y.width),
            names=layer.names,
            weight_bytes=packed.size,
            macs=kernels.step_macs(step, self.tensors),
            microseconds=microseconds,
        )
        return step, packed, row

    def _choose(self, layer: Layer) -> tuple[dict[str, Any], float]:
        return self.tuner.best(self._description(layer), self.tensors, self._weights(layer))

    def _description(self, layer: Layer) -> dict[str, Any]:
        """The step as the kernels read it, without its variant."""
        step: dict[str, Any] = {"op": layer.op}
        step |= {name: self._tensor(value) for name, value in layer.values.items()}
        step |= {name: value for name, value in layer.settings.items() if name not in ("parts", "in_place")}
        if layer.op == "linear" and self.real == "bfloat16":
            step["compute"] = "bfloat16"
        if not layer.settings.get("store", True):
            self.tensors[step["y"]]["offset"] = None
        return step

    def _weights(self, layer: Layer) -> dict[str, NDArray[np.float32]]:
        reads_pixels = layer.x == self.draft.input and self.pixels is not None
        if not reads_pixels or layer.op not in ("convolution", "convert", "stem_depthwise"):
            return layer.weights
        assert self.pixels is not None
        mean, deviation = (np.asarray(each, np.float32) for each in self.pixels)
        return layer.weights | {"mean": mean, "deviation": deviation}

    def _tensor(self, value: int) -> int:
        """The number of a value's tensor; made when it is first asked for."""
        if value not in self.number:
            shape = self.draft.values[value]
            tensor: dict[str, Any] = {"channels": shape.channels, "height": shape.height, "width": shape.width}
            if value == self.draft.input:
                tensor |= (
                    {"layout": "nchw", "dtype": "float32"}
                    if self.pixels is None
                    else {"layout": "nhwc", "dtype": "uint8"}
                )
            elif value in self.draft.outputs:
                tensor |= {"layout": "nchw", "dtype": "float32"}
            else:
                dtype = "float32" if shape.is_wide else self.real
                tensor |= {"layout": "blocked", "dtype": dtype, "offset": self.offsets.get(value)}
                if shape.scale is not None:
                    tensor |= {"dtype": "uint8", "scale": shape.scale.step, "zero_point": shape.scale.zero_point}
            if value in self.rows:
                tensor["space"] = "batch"
            self.number[value] = len(self.tensors)
            self.tensors.append(tensor)
        return self.number[value]

    @property
    def _item_bytes(self) -> int:
        return 2 if self.real == "bfloat16" else 4


def _real(precision: Precision) -> str:
    """The type of real numbers in maps."""
    import convlens_kernels as kernels

    if precision == "int8":
        return "bfloat16" if kernels.isa() == "avx512bf16" else "float32"
    return precision


def _joined(first: Layer, second: Layer, *, at_the_image: bool) -> Layer:
    """Both in one step of the kernels."""
    names = ("kernel", "stride", "padding", "activation")
    settings = {name: second.settings[name] for name in names if name in second.settings}
    own = names if at_the_image else ("activation",)
    settings |= {f"expand_{name}": first.settings[name] for name in own if name in first.settings}
    weights = {"expand_weight": first.weights["weight"], "weight": second.weights["weight"]}
    for name, layer in (("expand_bias", first), ("bias", second)):
        if "bias" in layer.weights:
            weights[name] = layer.weights["bias"]
    if "weight_scale" in first.weights:
        weights["expand_weight_scale"] = first.weights["weight_scale"]
    return Layer(
        op="stem_depthwise" if at_the_image else "expand_depthwise",
        values=second.values | {"x": first.x},
        settings=settings,
        weights=weights,
        names=first.names + second.names,
    )
