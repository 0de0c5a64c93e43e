"""What `inspect` and `compare` look at: a network of the catalogue, a run, or anybody's code."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlens.errors import ConvlensError, unknown_name

if TYPE_CHECKING:
    from torch import nn

_CHECKPOINTS = (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".safetensors")
_USUAL = (3, 224, 224)


@dataclass(frozen=True)
class Opened:
    """A module and the sizes of its inputs.

    Attributes:
        name: as the user wrote it.
        module: a network of the catalogue and that of a run come without their weights unless `weights` was asked for.
        sizes: one for each input.
    """

    name: str
    module: "nn.Module"
    sizes: tuple[tuple[int, ...], ...]


def open_module(source: str, sizes: Sequence[str] = (), *, weights: bool = False) -> Opened:
    """Find what `source` names: a network, a run folder, `file.py:Name` or `package.module:name`.

    Raises:
        ConvlensError: nothing of that name, a file of weights (which holds no network, and may hold code: it is never
            unpickled), code that fails, or a size that cannot be read.
    """
    from convlens import networks, runs

    if source in networks.names():
        module, usual = _from_catalogue(source, weights)
    elif ":" in source:
        module, usual = _from_code(source)
    elif runs.is_run(source):
        module, usual = _from_run(source, weights)
    elif Path(source).suffix in _CHECKPOINTS:
        raise ConvlensError(
            f"{source} holds weights, not a network, and is not opened; name the network: convlens inspect resnet18"
        )
    elif Path(source).exists():
        what = f"{source}:Net" if source.endswith(".py") else "a run folder, which has a run.yaml"
        raise ConvlensError(f"{source} is no network and no run; give {what}")
    else:
        raise unknown_name("network", source, networks.names())
    given = tuple(read_size(text, usual[0]) for text in sizes)
    return Opened(source, module, given or (usual,))


def read_size(text: str, channels: int) -> tuple[int, ...]:
    """Read a size: 224 for a square image, 192,256 for height and width, 3,192,256 with channels, more as they are.

    >>> read_size("224", 3), read_size("192,256", 1), read_size("8,3,32,32", 3)
    ((3, 224, 224), (1, 192, 256), (8, 3, 32, 32))
    """
    try:
        numbers = tuple(int(part) for part in text.replace("x", ",").replace("×", ",").split(","))
    except ValueError:
        raise ConvlensError(f"--size {text!r} is not a size; write 224, 192,256 or 3,192,256") from None
    if min(numbers) < 1:
        raise ConvlensError(f"--size {text!r} must be made of positive numbers, such as 224")
    if len(numbers) == 1:
        return (channels, numbers[0], numbers[0])
    return (channels, *numbers) if len(numbers) == 2 else numbers


def _from_catalogue(name: str, weights: bool) -> tuple["nn.Module", tuple[int, ...]]:
    import torch

    from convlens import networks

    card = networks.card(name)
    with torch.device("cpu" if weights else "meta"):
        module = networks.create(name)
    return module, (card.channels, *card.input_size)


def _from_run(path: str, weights: bool) -> tuple["nn.Module", tuple[int, ...]]:
    import torch

    from convlens import runs

    folder = runs.open_folder(path, weights=weights)
    size = (folder.channels, *folder.size)
    if weights:
        return folder.load_network(), size
    with torch.device("meta"):
        return folder.build_network(), size


def _from_code(source: str) -> tuple["nn.Module", tuple[int, ...]]:
    """Run the user's code as the user's own, and call what it names if that is a class or function."""
    from torch import nn

    where, _, name = source.rpartition(":")
    with _importable(Path(where).parent if where.endswith(".py") else Path()):
        namespace = _import(where)
        found = _named(namespace, where, name)
        if not isinstance(found, nn.Module):
            found = _call(found, source)
    if not isinstance(found, nn.Module):
        raise ConvlensError(f"{source} gives {type(found).__name__}, not a torch.nn.Module; name a module or its class")
    configured = getattr(found, "default_cfg", None) or getattr(found, "pretrained_cfg", None)
    size = configured.get("input_size") if isinstance(configured, dict) else None
    return found, tuple(size) if size else _USUAL


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
