"""How far a training is, and the checkpoint that holds all of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from convlens import files
from convlens.runs import RunError
from convlens.untrusted.pickles import load_pickle, write_sealed
from convlens.untrusted.sealing import check_seal
from convlens.untrusted.untrusted_bytes import UntrustedFileError, read_whole

_FORMAT = 1


@dataclass(kw_only=True)
class State:
    """Where training stands. Everything else is a function of the configuration and of this.

    Attributes:
        epoch: epochs that are finished.
        step: steps that are done in the epoch at hand.
        loss_sum: of the steps of this epoch, float64 on the training device, so that no step waits for it.
        seconds: of this epoch so far.
        history: one row a finished epoch.
        best: the row of the epoch whose weights are kept.
        stale: epochs since the figure on the validation images was last the best so far.
        parts: in which a batch is computed; more once memory did not suffice.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: torch.Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    stale: int = 0
    parts: int = 1

    def finish_epoch(self, row: dict[str, Any], *, kept: bool, improved: bool) -> None:
        """Take the row of a finished epoch and begin the next one."""
        self.history.append(row)
        self.best = row if kept else self.best
        self.stale = 0 if improved else self.stale + 1
        self.epoch, self.step, self.seconds = self.epoch + 1, 0, 0.0
        self.loss_sum = torch.zeros_like(self.loss_sum)


def save_checkpoint(path: Path, state: State, states: Mapping[str, Any]) -> None:
    """Write the state and the state dicts of the parts, whole or not at all, with its digest."""
    content = {"format": _FORMAT, "state": asdict(state), **states}
    files.write_bytes(path, write_sealed(content))  # by us, so that a full disk is an OSError like any other


def load_checkpoint(path: Path, parts: Mapping[str, Any], device: torch.device) -> State:
    """Read what `save_checkpoint` wrote, into `parts`, and give the state.

    Raises:
        RunError: if the file is truncated or belongs to another network or optimiser.
    """
    try:
        stored = read_whole(path)
        check_seal(stored, path)
        content = load_pickle(stored, path, device)
        if content["format"] != _FORMAT:
            raise RunError(f"{path} has format {content['format']!r}, not {_FORMAT}; use the Convlens that wrote it")
        for name, part in parts.items():
            part.load_state_dict(content[name])
        return State(**content["state"])
    except UntrustedFileError as error:
        raise RunError(str(error)) from None
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(f"{path} is truncated or of another training ({reason}); copy the run folder again") from None
