"""A module from the user's own code: `my_net.py:Net` or `package.module:factory`."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlens.errors import ConvlensError, unknown_name

if TYPE_CHECKING:
    from torch import nn

USUAL = (3, 224, 224)


def module_from_code(source: str) -> "nn.Module":
    """Run the user's code as the user's own, and call what it names if that is a class or function.

    Raises:
        ConvlensError: the code cannot be imported or called, has nothing of that name, or gives no module.
    """
    from torch import nn

    where, _, name = source.rpartition(":")
    with _importable(Path(where).parent if where.endswith(".py") else Path()):
        namespace = _import(where)
        found = _named(namespace, where, name)
        if not isinstance(found, nn.Module):
            found = _call(found, source)
    if not isinstance(found, nn.Module):
        raise ConvlensError(f"{source} gives {type(found).__name__}, not a torch.nn.Module; name a module or its class")
    return found


def usual_shape(module: "nn.Module") -> tuple[int, ...]:
    """The input that a module of timm says it is for, else 224 × 224, gray if its first convolution is."""
    configured = getattr(module, "default_cfg", None) or getattr(module, "pretrained_cfg", None)
    size = configured.get("input_size") if isinstance(configured, dict) else None
    if size:
        return tuple(size)
    first = next((each for each in module.modules() if hasattr(each, "in_channels")), None)
    return (1, *USUAL[1:]) if getattr(first, "in_channels", None) == 1 else USUAL


def load_weights(module: "nn.Module", path: Path, source: str) -> None:
    """Give a module the weights of a file, every entry accounted for.

    Raises:
        ConvlensError: the file cannot be read, or its entries are not those of the module.
    """
    from convlens.networks.checkpoints import read_checkpoint

    try:
        module.load_state_dict(read_checkpoint(path))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ConvlensError(f"the weights {path} do not fit {source}: {reason}") from None


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path[:0] = [str(folder.resolve()), str(Path().resolve())]
    try:
        yield
    finally:
        del sys.path[:2]


def _import(where: str) -> Any:
    path = Path(where)
    try:
        if not where.endswith(".py"):
            return importlib.import_module(where)
        if not path.is_file():
            raise ConvlensError(f"there is no file {where}; give the path of a Python file, such as my_net.py:Net")
        description = importlib.util.spec_from_file_location(path.stem, path)
        assert description is not None
        assert description.loader is not None
        module = importlib.util.module_from_spec(description)
        sys.modules.setdefault(path.stem, module)
        description.loader.exec_module(module)
        return module
    except ConvlensError:
        raise
    except Exception as error:
        raise ConvlensError(f"{where} cannot be imported: {_told(error)}") from error


def _named(namespace: Any, where: str, name: str) -> Any:
    try:
        return getattr(namespace, name)
    except AttributeError:
        choices = [each for each in dir(namespace) if not each.startswith("_")]
        raise unknown_name(f"name in {where}", name, choices) from None


def _call(found: Any, source: str) -> Any:
    if not callable(found):
        raise ConvlensError(f"{source} gives {type(found).__name__}, not a torch.nn.Module; name a module or its class")
    try:
        return found()
    except Exception as error:
        raise ConvlensError(
            f"calling {source}() fails: {_told(error)}; name a function without arguments that builds the module"
        ) from error


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
