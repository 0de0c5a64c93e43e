"""The `convlens` command: parses the words, loads the command's work, and turns errors into an exit code."""

import errno
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import requires
from io import TextIOWrapper
from typing import Any

from cyclopts import App, CycloptsError, Parameter, Token, convert
from cyclopts.exceptions import UnknownCommandError

from convlens import __version__
from convlens.cli.usage import explain_usage, kinds_of
from convlens.errors import ConvlensError, unknown_name

USER_ERROR = 2
OUR_ERROR = 1
INTERRUPTED = 130
BROKEN_PIPE = 141

# command -> one line for `convlens --help`, in the order of the work that people do
COMMANDS: dict[str, str] = {
    "demo": "Compare a convolutional and a fully connected network on digits.",
    "networks": "List the networks, or show one.",
    "weights": "List published weights, or fetch some.",
    "inspect": "Show a network's shapes, costs, memory and receptive fields.",
    "compare": "Compare networks, stage by stage.",
    "convolve": "Slide a kernel over an input and show each sum.",
    "pool": "Take the maximum or mean of each window.",
    "check": "Find unreadable, repeated, leaking and odd images.",
    "pack": "Write a data set as shards with checksums, for streaming.",
    "prepare": "Decode all images before training.",
    "train": "Train a network on a folder of images.",
    "find-lr": "Suggest a learning rate.",
    "evaluate": "Measure a trained network on labelled images.",
    "predict": "Predict the classes of images.",
    "frontier": "Find the right network for your images, within limits.",
    "scale": "Scale a network in depth, width and resolution to a budget.",
    "calibrate": "Measure layers on this machine, to predict how long networks take.",
    "benchmark": "Measure networks on every runtime in every precision.",
    "export": "Export a network to a verified file.",
    "serve": "Serve predictions over HTTP.",
    "explain": "Show which parts of an image an answer rests on.",
    "explore": "Open interactive pages for the lecture in the browser.",
}


# options that may stand without a value, which the parser does not know -> the value that they then get
_ALONE = {("explore", "--lecture"): ":ours"}
_ALONE |= {(command, "--ray"): "auto" for command in ("train", "predict", "frontier", "serve")}


def known_words(words: list[str]) -> list[str]:
    """The words as the parser knows them.

    Options such as `--ray` may stand without a value and then get their usual one. A lone - is the standard input.
    `--csv=answers.csv` of predict is `--csv answers.csv`.
    """
    words = ["/dev/stdin" if word == "-" else word for word in words]
    if words[:1] == ["predict"]:
        told = [re.fullmatch(r"(--(?:csv|json))=(.+\.(?:csv|json))", word) for word in words]
        words = [part for word, file in zip(words, told, strict=True) for part in (file.groups() if file else (word,))]
    known = []
    for word, following in zip(words, [*words, "-"][1:], strict=True):
        known.append(word)
        if following.startswith("-") and (words[0], word) in _ALONE:
            known.append(_ALONE[words[0], word])
    return known


def declaration(command: str) -> str:
    """Where a command says what it takes: a function of its name, in a file of its name; its work stands alike."""
    name = command.replace("-", "_")
    return f"convlens.cli.{name}:{name}"


def converted(kind: Any, tokens: Sequence[Token]) -> Any:
    """The value of an option. Of 1.5, the parser's own conversion would make the whole number 2 without a word."""
    kinds = kinds_of(kind)
    if int in kinds and float not in kinds and any("." in token.value for token in tokens) and str not in kinds:
        raise ValueError
    return convert(kind, tokens)


def build_app(asked: str = "") -> App:
    """Build the command line application without importing any command but the one that is asked for."""
    app = App(
        name="convlens",
        help="See through convolutional networks: understand, train, choose, ship and explain them.",
        help_epilogue="Example: convlens demo",
        version=__version__,
        default_parameter=Parameter(converter=converted),
    )
    for position, (name, summary) in enumerate(COMMANDS.items()):
        # The command that is asked for tells about itself, with its own example; the others are a line each.
        described = {} if name == asked else {"help": summary}
        app.command(declaration(name), name=name, sort_key=position, help_epilogue="", **described)
    return app


def work_of(declared: Callable[..., Any]) -> Callable[..., Any]:
    """What a declared command does, from the file of its name in `commands`, which imports all that it needs."""
    room, _, name = declared.__module__.rpartition(".")
    if room != "convlens.cli":  # help and version are the parser's own
        return declared
    work: Callable[..., Any] = getattr(import_module(f"convlens.commands.{name}"), name)
    return work


def _brought_by(package: str) -> str | None:
    """What to install for a package: Convlens with the first extra that brings it, or what Convlens itself needs."""
    for needed in requires("convlens") or ():
        named, _, condition = needed.partition(";")
        if (distribution := re.split(r"[^\w-]", named)[0]).replace("-", "_").lower() == package.lower():
            extra = re.search(r"extra == ['\"](\w+)['\"]", condition)
            return f"convlens[{extra[1]}]" if extra else distribution
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after `convlens`; `sys.argv` when None.

    Returns:
        The exit code: 0 success, 2 what the user got wrong, 1 what we got wrong or what partly failed.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a name that is no UTF-8 is printed with \\udcff for its bytes
            stream.reconfigure(errors="backslashreplace")
    words = known_words(list(sys.argv[1:] if arguments is None else arguments))
    try:
        app = build_app(words[0] if words else "")
        declared, given, _ = app.parse_args(words, exit_on_error=False, print_error=False)
        given.apply_defaults()
        result = work_of(declared)(*given.args, **given.kwargs)
    except ConvlensError as error:
        return _complain(str(error), error.exit_code)
    except UnknownCommandError as error:
        return _complain(f"{unknown_name('command', _first_word(error, words), COMMANDS)}; see convlens --help")
    except CycloptsError as error:
        return _complain(explain_usage(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        return _explain_os_error(error)
    except ModuleNotFoundError as error:
        package = str(error.name)
        if "." in package or not (install := _brought_by(package)):  # a part of something that is there: our mistake
            raise
        return _complain(f"this needs the package {package!r}, which is not installed here: pip install '{install}'")
    return result if isinstance(result, int) else 0


def run() -> None:
    """Entry point of the installed command."""
    sys.exit(main())


def _first_word(error: UnknownCommandError, words: list[str]) -> str:
    return str((error.unused_tokens or words)[0])


def _complain(message: str, exit_code: int = USER_ERROR) -> int:
    print(f"convlens: {message}", file=sys.stderr)
    return exit_code


def _explain_os_error(error: OSError) -> int:
    """Disks fill and folders are locked: that is the user's to mend. Anything else is a fault of ours."""
    mendable = {
        errno.ENOSPC: "free some space and run the command again",
        errno.EDQUOT: "raise the quota or free some space, then run the command again",
        errno.EACCES: "choose another folder or change its permissions",
        errno.EROFS: "choose a folder that can be written to",
        errno.EEXIST: "a folder is needed here and this is a file, so choose another place",
        errno.ENOTDIR: "a folder is needed here and this is a file, so choose another place",
        errno.EISDIR: "a file is to be written and this is a folder, so choose another name",
        errno.ENAMETOOLONG: "choose a shorter name",
    }
    if error.errno in mendable:
        where = f" ({error.filename})" if error.filename else ""
        return _complain(f"{error.strerror}{where}; {mendable[error.errno]}")
    traceback.print_exception(error)
    return OUR_ERROR
