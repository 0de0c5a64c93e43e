"""What `convlens inspect` takes, and its help."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def inspect(
    source: str,
    *files: Path,
    size: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    depth: int | None = None,
    at: str | None = None,
    unit: str | None = None,
    input_: Annotated[int, Parameter(name="--input")] = 0,
    operations: Annotated[bool, Parameter(negative="")] = False,
    calls: Annotated[bool, Parameter(negative="")] = False,
    plan: Annotated[bool, Parameter(negative="")] = False,
    precision: str = "float32",
    wide: Annotated[bool, Parameter(negative="")] = False,
    training: str | None = None,
    real: Annotated[bool, Parameter(negative="")] = False,
    effective: Annotated[bool, Parameter(negative="")] = False,
    image: Path | None = None,
    figure: Path | None = None,
    graph: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    csv: Annotated[bool, Parameter(negative="")] = False,
    html: Annotated[bool, Parameter(negative="")] = False,
    out: Path | None = None,
) -> None:
    """Show the shapes, parameters, MACs, memory and receptive fields of a network, without running it.

    Example: convlens inspect resnet50 --at layer4 --unit 3,3

    Nothing is downloaded. If the network does not accept the input, the table ends at the failing layer, and the last
    line says what it expected, what it got and what to change.

    Args:
        source: What to inspect: a network's name, a run folder, my_net.py:Net or package.module:factory. Code is
            executed with your permissions; a file of weights is never opened.
        files: Files for --json, --csv and --html, as in --csv layers.csv; several may be combined.
        size: Input size in pixels: 224, 192,256 or 3,192,256. Default: the usual size. Repeat it for several inputs,
            with names and types where needed: --size 1,128:int64 --size mask=1,128:bool.
        depth: Number of module levels to show. Default: 2, or all with --json; in pictures so many that shortcuts are
            seen.
        at: Show the receptive field of one unit of this module (its path) or operation (its name).
        unit: Row and column of the unit, counted from 0, as in 3,3. Default: the middle one.
        input_: Number of the input whose receptive field is shown, counted from 0.
        operations: List operations instead of modules.
        plan: Show how the engine runs the network on this machine: kernels, tiles, time of each step, share of the
            peak.
        precision: With --plan: float32, bfloat16 or int8.
        calls: List the calls of modules in execution order, with input, kernel, stride, type and share of the MACs.
        wide: Add input, kernel, stride, type and share of the MACs to the other tables.
        training: Also show the memory of a training step with this optimiser: sgd, adam, adamw or rmsprop.
        real: Run the network on numbers, where what it does depends on them; the tables hold for these numbers.
        effective: With --at: measure by gradients how the influence is distributed inside the receptive field.
        image: With --at: image to draw on, or to measure with.
        figure: File to draw to (.png, .svg, .pdf): the network to scale, or with --at the region.
        graph: File to draw the network's modules to as boxes and arrows (.svg, or .dot for Graphviz).
        json_: Print the result as JSON and nothing else; training_memory is included with --training.
        csv: Print the operations as CSV, or with --calls the calls.
        html: Print the result as a web page.
        out: File to write to instead of printing.
    """
