"""`convlens train`: its flags are the fields of `TrainConfig`."""

import inspect
import json
import sys
from dataclasses import fields
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from convlens.training.config import TrainConfig, default_of, field_types

if TYPE_CHECKING:
    from convlens.runs import RunFolder


def train(
    data: str | None = None,
    *,
    config: Path | None = None,
    resume: Path | None = None,
    seeds: int = 1,
    quiet: bool = False,
    json_: bool = False,
    **given: Any,
) -> int:
    """Train a network on a folder of images, and leave a run that can be evaluated and used.

    DATA is a folder with one folder a class, or with train/, val/ and test/ above them, or `digits`.

    Example: convlens train photos/ --network resnet18 --epochs 30

    Flags win over the file of --config. Ctrl-C ends after the current step; convlens train --resume RUN goes on
    exactly where it was cut, even after a power failure.
    """
    from convlens.training.progress import choose_watcher
    from convlens.training.settings import read_settings, settle
    from convlens.training.train import go_on, start

    settings = (read_settings(config) if config else {}) | {k: v for k, v in given.items() if v is not None}
    if data is not None:
        settings["data"] = data

    if seeds != 1 and not resume:
        return _train_several(settle(settings), seeds, quiet, json_)
    watcher = choose_watcher(quiet)
    outcome = go_on(resume, settings, watcher) if resume else start(settle(settings), watcher)
    folder = outcome.folder
    if outcome.stopped_by:
        print(f"stopped; go on with: convlens train --resume {quote(str(folder.path))}", file=sys.stderr)
        return 128 + outcome.stopped_by
    if json_:
        about = {"run": str(folder.path), "report": str(folder.path / "report.html")}
        print(json.dumps(about | dict(folder.description.result), ensure_ascii=False, indent=2))
    elif not quiet:
        _say_what_next(folder)
    return 0


def _train_several(config: TrainConfig, seeds: int, quiet: bool, as_json: bool) -> int:
    from convlens.training.progress import choose_watcher
    from convlens.training.several import Several, start_several

    done = start_several(config, seeds, lambda: choose_watcher(quiet))
    if not isinstance(done, Several):
        print(f"stopped; go on with: convlens train --resume {quote(str(done.folder.path))}", file=sys.stderr)
        return 128 + done.stopped_by
    if as_json:
        rows = [
            {"run": str(folder.path), "top1": top1} for folder, top1 in zip(done.folders, done.accuracies, strict=True)
        ]
        figures = {"runs": rows, "mean": done.mean, "low": done.low, "high": done.high}
        print(json.dumps(figures, ensure_ascii=False, indent=2))
        return 0
    for folder, accuracy in zip(done.folders, done.accuracies, strict=True):
        print(f"{accuracy:.2%}    {folder.path}")
    print(f"mean      {done.mean:.2%} (95 % interval {done.low:.2%} to {done.high:.2%}, {seeds} seeds)")
    return 0


def _say_what_next(folder: "RunFolder") -> None:
    result = folder.description.result
    if "val_top1" in result["best"]:
        print(f"kept      {result['best']['val_top1']:.2%} on the validation images, in epoch {result['best_epoch']}")
    held_out = result.get("held_out")
    if held_out and held_out["split"] == "test":
        print(
            f"test      {held_out['top1']:.2%} of {held_out['images']:,} images "
            f"(95 % interval {held_out['top1_low']:.2%} to {held_out['top1_high']:.2%})"
        )
    print(f"run       {folder.path}")
    print(f"report    {folder.path / 'report.html'}")
    print(f"evaluate  convlens evaluate {quote(str(folder.path))} {quote(str(folder.config['data']))}")
    print(f"predict   convlens predict {quote(str(folder.path))} IMAGES")


def _signature() -> inspect.Signature:
    """The command's parameters: those of the file and the run, then one a field of the configuration."""
    types = field_types()
    about_data = str(TrainConfig.__dataclass_fields__["data"].metadata["help"])
    own = [
        ("config", Path | None, None, "YAML file of settings, with the same names as the flags."),
        ("resume", Path | None, None, "Run folder to go on with."),
        (
            "seeds",
            int,
            1,
            "Train so often, with seeds from --seed on; mean and 95 % interval are given. [default: 1]",
        ),
        ("quiet", bool, False, "Print nothing but errors."),
        ("json_", bool, False, "Print the result as JSON; progress goes to the error stream."),
    ]
    settings = [(f.name, types[f.name] | None, None, _help(f)) for f in fields(TrainConfig) if f.name != "data"]
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature(
        [
            inspect.Parameter(
                "data",
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=None,
                annotation=Annotated[str | None, Parameter(help=about_data)],
            ),
            *(
                inspect.Parameter(name, keyword, default=default, annotation=_option(name, kind, text))
                for name, kind, default, text in [*own, *settings]
            ),
        ],
        return_annotation=int,
    )


def _option(name: str, kind: Any, text: str) -> Any:
    if name == "size":  # one number stands for a square
        kind = tuple[int, int] | int | None
    if name in ("quiet", "json_"):
        return Annotated[kind, Parameter(name=f"--{name.strip('_')}", help=text, negative=())]
    return Annotated[kind, Parameter(help=text, negative_iterable=())]


def _help(entry: Any) -> str:
    default = default_of(entry)
    return str(entry.metadata["help"]) + (f" [default: {default}]" if default is not None else "")


train.__signature__ = _signature()  # type: ignore[attr-defined]
train.__annotations__ = {name: p.annotation for name, p in _signature().parameters.items()} | {"return": int}
