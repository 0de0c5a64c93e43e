"""`convlens inspect`: the anatomy of any network."""

import json
import sys
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from convlens.anatomy import Anatomy, ForwardError, tables
from convlens.anatomy import inspect as look
from convlens.anatomy.anatomy_figures import draw_field, draw_network
from convlens.anatomy.drawing import draw_graph
from convlens.anatomy.effective import effective_receptive_field
from convlens.anatomy.tables import Planned
from convlens.calibrating import NotCalibratedError, predicted_latency
from convlens.classifiers import Classifier, resolve
from convlens.engine import as_table, check_precision, compile, measured
from convlens.errors import ConvlensError, unknown_name
from convlens.files import write_text
from convlens.sizes import read_size


def inspect(
    source: str, *files: Path, size: tuple[str, ...], depth: int | None, at: str | None, unit: str | None, input_: int,
    operations: bool, calls: bool, plan: bool, precision: str, wide: bool, training: str | None, real: bool,
    effective: bool, image: Path | None, figure: Path | None, graph: Path | None, json_: bool, csv: bool, html: bool,
    out: Path | None
) -> int:  # fmt: skip
    """Show the shapes, parameters, MACs, memory and receptive fields of a network, without running it."""
    forms = {name: asked for name, asked in ((".json", json_), (".csv", csv), (".html", html)) if asked}
    _check(at, unit, effective, image, files, tuple(forms), operations and calls)
    if depth is not None and depth < 0:
        raise ConvlensError(f"--depth is {depth}; use 0 for the network alone, or more levels")
    opened = resolve(source)
    sizes, keywords = _given(size, opened.shape)
    if plan:
        _put(_planned(opened, sizes[0], precision, bool(forms or files)), files[0] if files else out)
        return 0
    named = "" if ":" in source or Path(source).exists() else source
    try:
        network = opened.network if effective or real else opened.structure()
        sheet = look(network, *sizes, keywords=keywords, name=named, real=real)
    except ForwardError as error:
        print(_table_up_to(error.anatomy, depth), file=sys.stderr if forms else sys.stdout)
        raise
    if graph is not None:
        draw_graph(sheet, graph, depth=None if depth is None else max(depth, 1))
    if at is not None:
        shapes = tuple(tuple(each) for each in sheet.input_shapes)
        _put(_field(sheet, opened, shapes, at, _numbers(unit), input_, effective, image, figure, json_), out)
        return 0
    if figure is not None:
        draw_network(sheet, figure, depth=None if depth is None else max(depth, 1))
    planned = {} if training is None else {training: sheet.training(training)}
    view = "calls" if calls else "operations" if operations else "modules"
    for file in files:
        _put(_written(sheet, file.suffix, view, depth, wide, planned), file)
    if not files:
        _put(_written(sheet, next(iter(forms), ""), view, depth, wide, planned), out)
    return 0


def _planned(opened: Classifier, size: Any, precision: str, json_: bool) -> str:
    """How the engine runs the network on this machine, on one core."""
    chosen = check_precision(precision)
    # no time depends on the ranges of int8: noise will do to have some
    noise = np.random.default_rng(0).normal(size=(2, *size)).astype(np.float32) if chosen == "int8" else None
    compiled = compile(opened.network, size, precision=chosen, calibration=noise, threads=1)
    rows = measured(compiled)
    if json_:
        return json.dumps({"plan": rows, "arena_bytes": compiled.plan.arena_bytes}, indent=2, ensure_ascii=False)
    console = Console(width=max(_width(), 150))
    with console.capture() as captured:
        console.print(as_table(rows))
    return f"{compiled!r}\n\n{captured.get()}".rstrip()


def _check(
    at: str | None,
    unit: str | None,
    effective: bool,
    image: Path | None,
    files: tuple[Path, ...],
    forms: tuple[str, ...],
    two_views: bool,
) -> None:
    if at is None and (unit is not None or effective or image is not None):
        raise ConvlensError("--unit, --effective and --image are about one place of the network; name it with --at")
    if two_views:
        raise ConvlensError("--operations and --calls are two tables; choose one")
    for file in files:
        if file.suffix not in forms:
            options = {".json": "--json", ".csv": "--csv", ".html": "--html"}
            remedy = f"write {options[file.suffix]} {file}" if file.suffix in options else "inspect takes one network"
            raise ConvlensError(f"what is {str(file)!r} for? {remedy}; to see several networks: convlens compare")
    written = {file.suffix for file in files}
    missing = [form for form in forms if form not in written]
    if (files and missing) or len(missing) > 1:
        raise ConvlensError(
            "--json, --csv and --html print one form; choose one, or name a file for each: --csv a.csv --json a.json"
        )


def _given(texts: tuple[str, ...], usual: tuple[int, ...]) -> tuple[tuple[object, ...], dict[str, object]]:
    """The inputs in order and by name; those with a type as tensors that have no numbers."""
    inputs: list[object] = []
    keywords: dict[str, object] = {}
    for text in texts:
        name, equals, rest = text.rpartition("=")
        numbers, colon, kind = rest.partition(":")
        shape = read_size(numbers, usual[0])
        literal = shape[
            -1 - numbers.count(",") :
        ]  # with a type it is not an image: nothing is added to what was written
        value: object = _typed(literal, kind, text) if colon else shape
        if equals:
            keywords[name] = value
        else:
            inputs.append(value)
    return tuple(inputs) if inputs or keywords else (usual,), keywords


def _typed(shape: tuple[int, ...], kind: str, text: str) -> object:
    kinds = {str(each).removeprefix("torch."): each for each in vars(torch).values() if isinstance(each, torch.dtype)}
    if kind not in kinds:
        raise unknown_name(f"type in --size {text!r}:", kind, kinds)
    return torch.empty(shape, dtype=kinds[kind], device="meta")


def _table_up_to(sheet: Anatomy, depth: int | None) -> str:
    return tables.as_text(sheet, tables.modules_table(sheet, depth), _width())


def _numbers(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConvlensError(f"--unit {text!r} is not a place; write row and column, such as 3,3") from None


def _field(
    sheet: Anatomy,
    opened: Classifier,
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
    field = sheet.receptive_field(at, unit, source=source)
    content, text = field.to_dict(), str(field)
    picture = _read(image, opened, sizes[source]) if image is not None else None
    measured = None
    if effective:
        measured = effective_receptive_field(sheet, at, field.unit, images=picture)
        content["effective"] = measured.to_dict()
        text += f"\n{measured}"
    if figure is not None:
        draw_field(field, figure, image=picture, effective=measured)
    return json.dumps(content, indent=2, ensure_ascii=False) if json_ else text


def _read(path: Path, opened: Classifier, size: tuple[int, ...]) -> NDArray[np.float32]:
    """The picture as the network takes it, (C, H, W)."""
    return opened.preprocessing.at_size((size[-2], size[-1])).open(path)


def _written(sheet: Anatomy, form: str, view: str, depth: int | None, wide: bool, planned: Planned) -> str:
    if form == ".json":
        return tables.as_json(sheet, depth, planned)
    if form == ".csv":
        return (tables.calls_as_csv(sheet, depth) if view == "calls" else tables.as_csv(sheet)).rstrip("\n")
    if view == "calls":
        table = tables.calls_table(sheet, depth)
    elif view == "operations":
        table = tables.operations_table(sheet, more=wide)
    else:
        table = tables.modules_table(sheet, depth if form or depth is not None else 2, more=wide)
    if form == ".html":
        return tables.as_page(sheet, table, planned)
    return "\n".join([tables.as_text(sheet, table, _width(), planned), *_predicted(sheet)])


def _predicted(sheet: Anatomy) -> list[str]:
    """How long it takes here, where this machine is calibrated."""
    try:
        told = predicted_latency(sheet)
    except NotCalibratedError:
        return []
    epoch = f"{told.training_milliseconds:.3g} ms an image, forward and backward"
    return [f"latency      {told}", f"training     {epoch}"]


def _width() -> int:
    return get_terminal_size((120, 24)).columns


def _put(text: str, out: Path | None) -> None:
    if out is None:
        print(text)
    else:
        write_text(out, text + "\n")
        print(f"written: {out}", file=sys.stderr)
