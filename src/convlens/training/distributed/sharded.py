"""Fully sharded data parallelism (Rajbhandari et al. 2020, ZeRO, stage 3) by torch's FSDP2.

Every process has its part of every batch, as with DDP, but keeps only a share of weights, gradients and moments; a
block is put together when it computes. Weights lie contiguous, which FSDP2 asks for.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from convlens.errors import ConvlensError
from convlens.training.config import TrainConfig
from convlens.training.distributed.launch import Place
from convlens.training.distributed.ranks import Ranks
from convlens.training.speed.numerics import lay_out
from convlens.training.speed.recomputation import blocks_of


class ShardedRanks(Ranks):
    """Processes that keep a share of the network each.

    Raises:
        ConvlensError: settings that need the whole network in one process.
    """

    splits_network = True

    def __init__(self, place: Place, device: torch.device, control: dist.ProcessGroup, config: TrainConfig) -> None:
        super().__init__(place, device, control, synchronise=config.sync_batch_norm)
        for name, plain in {"probe": False, "freeze_epochs": 0, "memory_format": "contiguous"}.items():
            if getattr(config, name) != plain:
                raise ConvlensError(f"{name} is {getattr(config, name)} together with --shard; leave one of them out")
        if config.precision == "float16":
            raise ConvlensError("precision is float16 together with --shard; use bfloat16")
        self.mesh = init_device_mesh(device.type, (place.size,))

    def spread(self, network: nn.Module, average: nn.Module | None, x_shape: Sequence[int]) -> None:
        """Shard the network block by block."""
        self._one = torch.zeros(1, *x_shape[1:], device=self.local_device)
        for each in (network, average):
            if each is not None:
                lay_out(each, "contiguous")
                for block in blocks_of(each):
                    fully_shard(block, mesh=self.mesh)
                fully_shard(each, mesh=self.mesh)

    def learning(self, network: nn.Module) -> nn.Module:
        """The network; its gradients are averaged as they are made."""
        return network

    def evaluating(self, network: nn.Module) -> nn.Module:
        """The network with the statistics of the first process."""
        self._evaluated = super().evaluating(network)
        return network

    @torch.inference_mode()
    def in_turns(self, parts: list[Tensor], batches: int) -> list[Tensor]:
        """What processes made of so many batches; one that has a batch less takes part in the others' last."""
        if len(parts) < -(-batches // self.size):
            self._evaluated(self._one)
        return super().in_turns(parts, batches)

    def whole(self, part: Any) -> Any:
        """A state dict in which every tensor is whole."""
        return _Whole(part)


class _Whole:
    """A sharded part of a training with the state dict that it would have in one process; every process must ask."""

    def __init__(self, part: Any) -> None:
        self.part = part

    def state_dict(self) -> dict[str, Any]:
        """The whole state, on the processor."""
        gathered: dict[str, Any] = _gathered(self.part.state_dict())
        return gathered

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take this process's share of the whole state."""
        if isinstance(self.part, torch.optim.Optimizer):
            parameters = [p for group in self.part.param_groups for p in group["params"]]
            moments = {
                number: {name: _like(value, parameters[number]) for name, value in values.items()}
                for number, values in state["state"].items()
            }
            self.part.load_state_dict({"state": moments, "param_groups": state["param_groups"]})
            return
        network = self.part if isinstance(self.part, nn.Module) else self.part.network
        own = network.state_dict()
        if own.keys() != state.keys():
            raise RuntimeError(f"weights of {len(state)} tensors, not {len(own)}")
        for name, tensor in own.items():
            tensor.copy_(_like(state[name], tensor))


def _gathered(value: Any) -> Any:
    if isinstance(value, DTensor):
        return value.full_tensor().cpu()
    if isinstance(value, dict):
        return {name: _gathered(each) for name, each in value.items()}
    return value


def _like(value: Any, other: Tensor) -> Any:
    """A whole tensor in the shares of another, if it is one of that shape."""
    if isinstance(other, DTensor) and isinstance(value, Tensor) and value.shape == other.shape:
        return distribute_tensor(value.to(other.device), other.device_mesh, other.placements)
    return value
