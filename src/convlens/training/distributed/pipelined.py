"""Pipeline parallelism: every process has a stage of the network, and micro-batches go from stage to stage (GPipe)."""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe
from torch.utils.checkpoint import checkpoint

from convlens.errors import ConvlensError
from convlens.networks import WithAuxiliary
from convlens.training.config import TrainConfig
from convlens.training.distributed.cutting import Segment, block_costs, crossing, cut
from convlens.training.distributed.launch import Place
from convlens.training.distributed.micro_norms import micro_batch_norms
from convlens.training.distributed.ranks import Ranks
from convlens.training.distributed.stage_memory import stage_memory
from convlens.training.distributed.stage_states import StagedState
from convlens.training.step import Step

_SCHEDULES = {"gpipe": ScheduleGPipe, "1f1b": Schedule1F1B}


class PipelinedRanks(Ranks):
    """Processes that have a stage each. More processes than stages are whole pipelines that share every batch.

    Args:
        place: of this process; ranks 0 to K - 1 are the first pipeline, the next K the second.
        device: that it computes on.
        control: a group for numbers on the processor.
        config: names stages and micro-batches.

    Raises:
        ConvlensError: fewer processes than stages, a number of processes that is not a multiple of them, a batch that
            cannot be divided into equal micro-batches, or settings that no pipeline has.
    """

    splits_network = True

    def __init__(self, place: Place, device: torch.device, control: dist.ProcessGroup, config: TrainConfig) -> None:
        super().__init__(place, device, control, synchronise=False)
        stages = config.pipeline
        check_pipeline(config, place.size)
        self.stage, self.stages = place.rank % stages, stages
        self.pipelines = place.size // stages
        self.data_share = (place.rank // stages, self.pipelines)
        self.microbatches = microbatches_of(config)
        self.micro = config.images_per_step // self.pipelines // self.microbatches
        rows = torch.arange(place.size).view(self.pipelines, stages)
        # Every process takes part in making every group.
        own = [dist.new_group(row.tolist()) for row in rows]
        across = [dist.new_group(column.tolist()) for column in rows.T]
        self.along, self.across = own[self.data_share[0]], across[self.stage]
        self.config = config
        self.segments: dict[int, Segment] = {}
        self.shapes: list[tuple[Tensor, ...]] = []
        self.shares: tuple[float, ...] = ()
        self.memory: tuple[int, ...] = ()
        self.busy = 0.0  # seconds of forward passes

    @property
    def about(self) -> str:
        """What the anatomy says of the stages."""
        shares = ", ".join(f"{share:.0%}" for share in self.shares)
        memory = ", ".join(f"{each / 1e6:,.0f}" for each in self.memory)
        return (
            f"{super().about} in {self.stages} stages of {shares} of the cost, {memory} MB of activations and gradients"
        )

    def spread(self, network: nn.Module, average: nn.Module | None, x_shape: Sequence[int]) -> None:
        """Keep this process's stage, and let go of the rest of the network."""
        shape = (self.micro, *x_shape[1:])
        costs = self.first(lambda: block_costs(network.train(), shape))
        for each in (network, average):
            if each is None:
                continue
            training = each.training
            segments = cut(each.train(), costs, self.stages)
            each.train(training)
            if not self.shapes:
                self.shapes = crossing(segments, torch.empty(shape, device=self.local_device))
                self.shares = tuple(segment.cost for segment in segments)
                self.memory = self.first(partial(self._memory_of, segments))
            own = segments[self.stage]
            self.segments[id(each)] = own
            kept = {id(tensor) for tensor in (*own.module.parameters(), *own.module.buffers())}
            for module in each.modules():
                _drop(module, kept)

    def _memory_of(self, segments: Sequence[Segment]) -> tuple[int, ...]:
        each = zip(segments, self.shapes, self.shapes[1:], strict=False)
        return tuple(
            stage_memory(
                segment.module,
                given,
                made,
                stage=stage,
                stages=self.stages,
                microbatches=self.microbatches,
                schedule=self.config.schedule,
                recompute=self.config.recompute,
            )
            for stage, (segment, given, made) in enumerate(each)
        )

    @contextmanager
    def computing(self, network: nn.Module) -> Iterator[None]:
        """A context in which norms track what a mini-batch shows, whatever the micro-batches."""
        with micro_batch_norms(network) as self.mini:
            yield

    def learning(self, network: nn.Module) -> nn.Module:
        """The network; its stages learn as `stepping` says."""
        return network

    def stepping(self, step: Step) -> Step:
        """The step, done by a pipeline."""
        return PipelinedStep(**vars(step), team=self)

    def mean(self, loss: Tensor) -> Tensor:
        """The mean over the pipelines: only the last stage knows the loss."""
        return super().mean(loss) * self.stages

    def evaluating(self, network: nn.Module) -> nn.Module:
        """What takes images in every process of a pipeline, and gives their scores in all."""
        for buffer in self.segments[id(network)].module.buffers():
            dist.broadcast(buffer, src=self.stage, group=self.across)
        return _Answering(self, network)

    def whole(self, part: Any) -> Any:
        """A state dict of all stages, in the first process."""
        return StagedState(part, self.gathered, self.stages)

    def farewell(self) -> str | None:
        """Wait for all once more; how the time was divided among the stages, where processors computed."""
        seconds = self.gathered(self.busy)[: self.stages]
        super().farewell()
        if not all(seconds):
            return None
        shares = ", ".join(f"{each / sum(seconds):.0%}" for each in seconds)
        slowest, expected = (max(each) * self.stages / sum(each) for each in (seconds, self.shares))
        return (
            f"forward passes of the stages took {shares} of the time: the slowest {slowest:.2f} times the mean, and "
            f"{expected:.2f} by the anatomy"
        )

    def stage_of(self, network: nn.Module, step: Step | None) -> PipelineStage:
        """This process's stage of a network, as torch's schedules take it."""
        segment = self.segments[id(network)]
        module = _Stage(self, segment.module, step, recompute=step is not None and self.config.recompute)
        given, made = (
            tuple(torch.empty(t.shape, device=self.local_device, requires_grad=step is not None) for t in tensors)
            for tensors in self.shapes[self.stage : self.stage + 2]
        )
        if self.stage == 0:
            given = tuple(tensor.detach() for tensor in given)
        return PipelineStage(
            module, self.stage, self.stages, self.local_device, input_args=given, output_args=made, group=self.along
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class PipelinedStep(Step):
    """A step whose forward and backward passes are those of a pipeline, micro-batch by micro-batch."""

    team: PipelinedRanks

    def __call__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        x_NCHW: Tensor,
        targets: Tensor,
        parts: int = 1,  # noqa: ARG002 - the micro-batches are the parts
        count: float | None = None,
    ) -> Tensor:
        """Do one step; the loss is known in the last stage, and 0 in the others."""
        team, images = self.team, team_batch(self.team)
        if len(x_NCHW) != images:
            raise ConvlensError(
                f"a batch has {len(x_NCHW)} of {images} images because a shard is lost, and a pipeline needs them all; "
                "copy the shard again"
            )
        optimizer.zero_grad(set_to_none=True)
        segment, divisor = team.segments[id(network)], count or len(x_NCHW)

        def loss_of(output: Any, target: Tensor) -> Tensor:
            scores, *auxiliary = output if isinstance(output, tuple) else (output,)
            found = scores if segment.auxiliary is None else WithAuxiliary(scores, tuple(auxiliary), segment.auxiliary)
            return self.loss(found, target) / divisor

        # A schedule is a list of what to do, made anew in no time; a stage keeps nothing between steps but its buffers.
        stage = team.stage_of(network, self)
        schedule = _SCHEDULES[team.config.schedule](stage, team.microbatches, loss_fn=loss_of, scale_grads=False)
        losses: list[Tensor] = []
        inputs = (x_NCHW,) if stage.is_first else ()
        if stage.is_last:
            schedule.step(*inputs, target=targets, losses=losses, return_outputs=False)
        else:
            schedule.step(*inputs)
        team.mini.finish()
        self._average(network)
        self._update(network, optimizer)
        return (
            torch.stack([loss.detach() for loss in losses]).sum() if losses else torch.zeros((), device=x_NCHW.device)
        )

    def _average(self, network: nn.Module) -> None:
        """The mean gradient of the pipelines."""
        if self.team.pipelines > 1:
            for parameter in network.parameters():
                if parameter.grad is not None:
                    dist.all_reduce(parameter.grad, group=self.team.across)
                    parameter.grad /= self.team.pipelines

    def _update(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        own = [parameter for parameter in network.parameters() if parameter.grad is not None]
        if self.clip_norm:
            squares = [parameter.grad.norm() ** 2 for parameter in own if parameter.grad is not None]
            total = torch.stack(squares).sum() if squares else torch.zeros((), device=self.team.local_device)
            dist.all_reduce(total, group=self.team.along)
            nn.utils.clip_grads_with_norm_(own, self.clip_norm, total.sqrt())
        optimizer.step()


class _Stage(nn.Module):
    """A segment in the step's precision; what crosses is float32. Its activations are computed again, if they shall."""

    def __init__(self, team: PipelinedRanks, module: nn.Module, step: Step | None, *, recompute: bool) -> None:
        super().__init__()
        self.team, self.module, self.step, self.recompute = team, module, step, recompute

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What crosses into the next stage."""
        if not self.recompute:
            return self._computed(*inputs)

        def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return nullcontext(), self.team.mini.computed_again()

        found: tuple[Tensor, ...] = checkpoint(self._computed, *inputs, use_reentrant=False, context_fn=contexts)
        return found

    def _computed(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        started = time.perf_counter()
        with nullcontext() if self.step is None else self.step.autocast(inputs[0].device.type):
            made = tuple(tensor.float().contiguous() for tensor in self.module(*inputs))
        if self.step is not None and made[0].device.type == "cpu":  # a GPU would have to be waited for
            self.team.busy += time.perf_counter() - started
        return made


class _Answering(nn.Module):
    """A network in stages that answers: every process is given the same images, and gets all scores."""

    def __init__(self, team: PipelinedRanks, network: nn.Module) -> None:
        super().__init__()
        self.stage = team.stage_of(network, None)
        self.team = team
        self.schedule = ScheduleGPipe(self.stage, team.microbatches, loss_fn=None, scale_grads=False)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Scores (N, K)."""
        whole = team_batch(self.team)
        found = []
        for x in torch.split(x_NCHW, whole):
            full = torch.cat([x, x[-1:].expand(whole - len(x), -1, -1, -1)])  # the last image again, and left out below
            scores = self.schedule.eval(*((full,) if self.stage.is_first else ()))
            if not self.stage.is_last:
                like = self.team.shapes[-1][0]
                scores = torch.empty(whole, *like.shape[1:], device=x.device)
            elif isinstance(scores, tuple | list):
                scores = scores[0]
            last = self.team.data_share[0] * self.team.stages + self.team.stages - 1
            scores = scores.contiguous()
            dist.broadcast(scores, src=last, group=self.team.along)
            found.append(scores[: len(x)])
        return torch.cat(found)


def team_batch(team: PipelinedRanks) -> int:
    """Images that one pipeline takes in a step."""
    return team.micro * team.microbatches


def microbatches_of(config: TrainConfig) -> int:
    """Micro-batches of a step: those that are named, or four a stage, with which the bubble is small (section 2.3)."""
    return config.microbatches or 4 * config.pipeline


def check_pipeline(config: TrainConfig, processes: int) -> None:
    """Raise ConvlensError if so many processes cannot be this pipeline."""
    stages, micro = config.pipeline, microbatches_of(config)
    if processes < stages:
        raise ConvlensError(f"pipeline is {stages} and {processes} processes were started; start {stages} or more")
    if processes % stages:
        raise ConvlensError(
            f"{processes} processes are not a multiple of {stages} stages; start {processes // stages * stages} or "
            f"{(processes // stages + 1) * stages}"
        )
    pipelines = processes // stages
    if config.images_per_step % (micro * pipelines):
        shared = f" for each of {pipelines} pipelines" if pipelines > 1 else ""
        raise ConvlensError(
            f"a batch of {config.images_per_step} cannot be divided into {micro} equal "
            f"micro-batches{shared}; use a --batch that is a multiple of {micro * pipelines}, or other --microbatches"
        )
    for name, plain in {
        "probe": False,
        "freeze_epochs": 0,
        "teacher": None,
        "layer_decay": 1.0,
        "shard": False,
    }.items():
        if getattr(config, name) != plain:
            raise ConvlensError(
                f"{name} is {getattr(config, name)} together with --pipeline, which has none; leave it out"
            )
    if config.precision == "float16":
        raise ConvlensError("precision is float16 together with --pipeline; use bfloat16")


def _drop(module: nn.Module, kept: set[int]) -> None:
    """Give up the memory of what is not kept."""
    for name, parameter in module.named_parameters(recurse=False):
        if id(parameter) not in kept:
            setattr(module, name, nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad))
    for name, buffer in module.named_buffers(recurse=False):
        if id(buffer) not in kept:
            module.register_buffer(name, buffer.to("meta"), persistent=name not in module._non_persistent_buffers_set)
