"""The `convlens` command: finds the command's file, and turns errors into one line and an exit code."""

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from io import TextIOWrapper

from cyclopts import App, CycloptsError
from cyclopts.exceptions import UnknownCommandError

from convlens import __version__
from convlens.cli.usage import explain_usage
from convlens.errors import ConvlensError, unknown_name

USER_ERROR = 2
OUR_ERROR = 1
INTERRUPTED = 130
BROKEN_PIPE = 141

# command -> (function that runs it, one line for `convlens --help`), in the order of the work that people do;
# imported only when the command is used
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("convlens.cli.demo:demo", "Compare a convolutional and a fully connected network on digits."),
    "networks": ("convlens.cli.networks:networks", "List the networks, or show one."),
    "weights": ("convlens.cli.weights:weights", "List published weights, or fetch some."),
    "inspect": ("convlens.cli.inspect:inspect", "Show a network's shapes, costs, memory and receptive fields."),
    "compare": ("convlens.cli.compare:compare", "Compare networks, stage by stage."),
    "convolve": ("convlens.cli.convolve:convolve", "Slide a kernel over an input and show each sum."),
    "pool": ("convlens.cli.pool:pool", "Take the maximum or mean of each window."),
    "check": ("convlens.cli.check:check", "Find unreadable, repeated, leaking and odd images."),
    "pack": ("convlens.cli.pack:pack", "Write a data set as shards with checksums, for streaming."),
    "prepare": ("convlens.cli.prepare:prepare", "Decode all images before training."),
    "train": ("convlens.cli.train:train", "Train a network on a folder of images."),
    "find-lr": ("convlens.cli.find_lr:find_lr", "Suggest a learning rate."),
    "evaluate": ("convlens.cli.evaluate:evaluate", "Measure a trained network on labelled images."),
    "predict": ("convlens.cli.predict:predict", "Predict the classes of images."),
    "frontier": ("convlens.cli.frontier:frontier", "Find the network to take, on your images and within limits."),
    "scale": ("convlens.cli.scale:scale", "Scale a network in depth, width and resolution to a budget."),
    "calibrate": ("convlens.cli.calibrate:calibrate", "Measure layers here, to predict how long networks take."),
    "benchmark": ("convlens.cli.benchmark:benchmark", "Measure networks on every runtime in every precision."),
    "export": ("convlens.cli.export:export", "Export a network to a verified file."),
    "serve": ("convlens.cli.serve:serve", "Serve predictions over HTTP."),
    "explain": ("convlens.cli.explain:explain", "Show which parts of an image an answer rests on."),
    "explore": ("convlens.cli.explore:explore", "Open interactive pages for the lecture in the browser."),
}


# options that may stand without a value, which the parser does not know -> the value that they then get
_ALONE = {("explore", "--lecture"): ":ours"}
_ALONE |= {(command, "--ray"): "auto" for command in ("train", "predict", "frontier", "serve")}


def known_words(words: list[str]) -> list[str]:
    """The words as the parser knows them.

    Options such as `--ray` may stand without a value and then get their usual one. A lone - is the standard input.
    """
    words = ["/dev/stdin" if word == "-" else word for word in words]
    known = []
    for word, following in zip(words, [*words[1:], "-"], strict=True):
        known.append(word)
        if following.startswith("-") and (words[0], word) in _ALONE:
            known.append(_ALONE[words[0], word])
    return known


def build_app(asked: str = "") -> App:
    """Build the command line application without importing any command but the one that is asked for."""
    app = App(
        name="convlens",
        help="See through convolutional networks: understand, train, choose, ship and explain them.",
        help_epilogue="Example: convlens demo",
        version=__version__,
        default_parameter=None,
    )
    for position, (name, (target, summary)) in enumerate(COMMANDS.items()):
        # The command that is asked for tells about itself, with its own example; the others are a line each.
        described = {} if name == asked else {"help": summary}
        app.command(target, name=name, sort_key=position, help_epilogue="", **described)
    return app


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
        result = build_app(words[0] if words else "")(
            words, exit_on_error=False, print_error=False, result_action="return_value"
        )
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
