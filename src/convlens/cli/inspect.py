"""`convlens inspect`: the anatomy of any network."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from convlens.errors import ConvlensError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convlens.anatomy import Anatomy
    from convlens.classifiers import Classifier


def inspect(
    source: str,
    *,
    size: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    depth: int | None = None,
    at: str | None = None,
    unit: str | None = None,
    input_: Annotated[int, Parameter(name="--input")] = 0,
    operations: Annotated[bool, Parameter(negative="")] = False,
    training: str | None = None,
    effective: Annotated[bool, Parameter(negative="")] = False,
    image: Path | None = None,
    figure: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    csv: Annotated[bool, Parameter(negative="")] = False,
    html: Annotated[bool, Parameter(negative="")] = False,
    out: Path | None = None,
) -> int:
    """Look into a network: shapes, parameters, MACs, memory, receptive fields. Nothing is computed or downloaded.

    Example: convlens inspect resnet50 --at layer4 --unit 3,3

    If the network does not take such an input, the table goes up to the failing layer, and the last line says what it
    expected, what it got and what to change.

    Args:
        source: A network of the catalogue, a run folder, my_net.py:Net or package.module:factory. Code that you name is
            run as your own, with all that it may do; a file of weights is never opened.
        size: 224, 192,256 or 3,192,256; the usual one if not given. Once for each input of the network.
        depth: Levels of modules to show; 2 if not given, all with --json.
        at: A module's path or an operation's name: tell the receptive field of one of its units.
        unit: Row and column of the unit, counted from 0; the middle one if not given.
        input_: Which input the receptive field is told for, where there are several.
        operations: List operations instead of modules.
        training: Tell the memory of a training step too, with this optimiser: sgd, adam, adamw or rmsprop.
        effective: With --at: measure how the influence is spread inside the receptive field, by gradients.
        image: With --at: the picture to draw on, or to measure with.
        figure: Write a picture (.png, .svg, .pdf): the network with its sizes to scale, or with --at the region.
        json_: Print JSON; it has training_memory only with --training, for which a step is run on fake tensors.
        csv: Print the operations as CSV.
        html: Print a web page.
        out: Write to this file instead of printing.
    """
    from convlens.anatomy import WrongShapeError
    from convlens.anatomy import inspect as look
    from convlens.classifiers import resolve
    from convlens.cli.sizes import read_size

    _check(at, unit, effective, image, json_ + csv + html)
    if depth is not None and depth < 0:
        raise ConvlensError(f"--depth is {depth}; use 0 for the network alone, or more levels")
    opened = resolve(source)
    sizes = tuple(read_size(text, opened.shape[0]) for text in size) or (opened.shape,)
    try:
        sheet = look(opened.network if effective else opened.structure(), *sizes)
    except WrongShapeError as error:
        print(error.anatomy.to_text(depth), file=sys.stderr if json_ or csv or html else sys.stdout)
        raise
    sheet.name = sheet.name if ":" in source or Path(source).exists() else source
    if at is not None:
        text = _field(sheet, opened, sizes, at, _numbers(unit), input_, effective, image, figure, json_)
    else:
        text = _written(sheet, depth, operations, training, json_, csv, html)
        if figure is not None:
            from convlens.anatomy.figures import draw_network

            draw_network(sheet, figure, depth=1 if depth is None else max(depth, 1))
    _put(text, out)
    return 0


def _check(at: str | None, unit: str | None, effective: bool, image: Path | None, forms: int) -> None:
    if forms > 1:
        raise ConvlensError("--json, --csv and --html are three forms of the same; choose one")
    if at is None and (unit is not None or effective or image is not None):
        raise ConvlensError("--unit, --effective and --image are about one place of the network; name it with --at")


def _numbers(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConvlensError(f"--unit {text!r} is not a place; write row and column, such as 3,3") from None


def _field(
    sheet: "Anatomy",
    opened: "Classifier",
    sizes: tuple[tuple[int, ...], ...],
    at: str,
    unit: tuple[int, ...] | None,
    source: int,
    effective: bool,
    image: Path | None,
    figure: Path | None,
    json_: bool,
) -> str:
    """The receptive field of one unit, and its picture."""
    import json

    field = sheet.receptive_field(at, unit, source=source)
    content, text = field.to_dict(), str(field)
    picture = _read(image, opened, sizes[source]) if image is not None else None
    measured = None
    if effective:
        from convlens.anatomy.effective import effective_receptive_field

        measured = effective_receptive_field(sheet, at, field.unit, images=picture)
        content["effective"] = measured.to_dict()
        text += f"\n{measured}"
    if figure is not None:
        from convlens.anatomy.figures import draw_field

        draw_field(field, figure, image=picture, effective=measured)
    return json.dumps(content, indent=2, ensure_ascii=False) if json_ else text


def _read(path: Path, opened: "Classifier", size: tuple[int, ...]) -> "NDArray[np.float32]":
    """The picture as the network takes it, (C, H, W)."""
    return opened.preprocessing.at_size((size[-2], size[-1])).open(path)


def _written(
    sheet: "Anatomy", depth: int | None, operations: bool, training: str | None, json_: bool, csv: bool, html: bool
) -> str:
    from convlens.anatomy import tables

    if training is not None:
        sheet.training(training)
    if json_:
        return tables.as_json(sheet, depth)
    if csv:
        return tables.as_csv(sheet).rstrip("\n")
    if html:
        return tables.as_page(sheet, depth)
    if operations:
        return tables.operations_as_text(sheet, _width())
    return tables.as_text(sheet, 2 if depth is None else depth, _width())


def _width() -> int:
    from shutil import get_terminal_size

    return get_terminal_size((120, 24)).columns


def _put(text: str, out: Path | None) -> None:
    if out is None:
        print(text)
    else:
        from convlens.files import write_text

        write_text(out, text + "\n")
        print(f"written: {out}", file=sys.stderr)
