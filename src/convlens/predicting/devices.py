"""Where PyTorch runs a network."""

import torch

from convlens.errors import ConvlensError


def choose_device(device: str) -> torch.device:
    """The device that `device` names; `"auto"` is a CUDA GPU if there is one, else the processor.

    Raises:
        ConvlensError: if this machine has no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError):
        raise ConvlensError(
            f"this machine has no device {device!r}; use auto, cpu, or cuda where there is a GPU"
        ) from None
    return chosen
