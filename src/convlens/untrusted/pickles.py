"""Files of `torch.save`, read without running anything that they ask for."""

import io
import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from convlens.untrusted.archives import checked_copy
from convlens.untrusted.sealing import BLANK, NAME, seal
from convlens.untrusted.untrusted_bytes import UntrustedFileError


def write_sealed(content: Any) -> bytes:
    """Give what `torch.save` writes of `content`, with its digest as the archive's comment."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return seal_archive(buffer.getvalue())


def seal_archive(content: bytes) -> bytes:
    """Give a ZIP archive with its digest as its comment, where no reader is disturbed by it."""
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = f"{NAME}={BLANK}".encode()
    return seal(buffer.getvalue())


def load_pickle(content: bytes, where: str | Path, device: "torch.device | str" = "cpu") -> Any:
    """Read tensors and plain containers.

    Raises:
        UntrustedFileError: the pickle asks for anything else, or is damaged.
    """
    try:
        if content[:2] == b"PK":
            content = checked_copy(content, where)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about storages of old formats, which still load
            return torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    except UntrustedFileError:
        raise
    except pickle.UnpicklingError as error:
        asked_for = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked_for is None:  # a pickle that torch.save does not write: not read further either
            raise _damaged(where, "no pickle of torch.save") from None
        raise UntrustedFileError(
            f"{str(where)!r} is refused: its pickle holds more than tensors and could execute code ({asked_for[1]}); "
            "get the weights as .safetensors, or save only a state_dict()"
        ) from None
    except Exception as error:  # a damaged pickle fails in any way that its machine can
        raise _damaged(where, error) from None


def _damaged(where: str | Path, why: Exception | str) -> UntrustedFileError:
    reason = " ".join(str(why).split()).split(". ")[0][:200] or type(why).__name__
    return UntrustedFileError(f"{str(where)!r} is damaged or holds no weights ({reason}); get it again")
