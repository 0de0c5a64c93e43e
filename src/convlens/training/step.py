"""One step: loss, gradient, update. K: classes. Targets are class indices (N,) or, for mixed images, shares (N, K)."""

from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convlens.networks import WithAuxiliary
from convlens.training.config import TrainConfig
from convlens.training.distillation import Teacher, distillation_loss
from convlens.training.speed.numerics import Chosen, Compiled, Layout, Numerics, layout_name
from convlens.training.trouble import explained

_HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """How a step is done; the same for every step of a training.

    Args:
        label_smoothing: share of the target that is spread over all classes (Szegedy et al. 2015, section 7).
        clip_norm: largest norm of the gradient, 0 for no limit.
        precision: what convolutions and products are computed in; weights and the loss stay float32.
        memory_format: how the images lie in memory.
        compile: how the network is compiled.
        scaler: keeps float16's small gradients from vanishing (Micikevicius et al. 2018, section 3.2).
        class_weights: how much each class counts, (K,); None for all the same.
        teacher: who else says what is on the images.
        teacher_share: share of the loss that compares with the teacher.
        temperature: at which both are compared.
    """

    label_smoothing: float
    clip_norm: float
    precision: Chosen = "float32"
    memory_format: Layout = "channels_last"
    compile: Compiled = "none"
    scaler: torch.amp.GradScaler | None = None
    class_weights: Tensor | None = None
    teacher: Teacher | None = None
    teacher_share: float = 0.0
    temperature: float = 1.0

    @classmethod
    def of(cls, config: TrainConfig, *, class_weights: Tensor | None = None, teacher: Teacher | None = None) -> "Step":
        """The step that a configuration asks for, in float32."""
        return cls(
            label_smoothing=config.label_smoothing,
            clip_norm=config.clip_norm,
            class_weights=class_weights,
            teacher=teacher,
            teacher_share=config.teacher_share,
            temperature=config.temperature,
        )

    def computed_as(self, numerics: Numerics) -> "Step":
        """The same step, computed as the numerics say; with a fresh gradient scaler where it takes one."""
        half = numerics.precision == "float16"
        return replace(
            self,
            precision=numerics.precision,
            memory_format=numerics.memory_format,
            compile=numerics.compile,
            scaler=torch.amp.GradScaler(torch.device(numerics.device).type) if half else None,
        )

    def __call__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        x_NCHW: Tensor,
        targets: Tensor,
        parts: int = 1,
        count: float | None = None,
    ) -> Tensor:
        """Do one step and return the loss, a scalar tensor that is not synchronised.

        Args:
            network: gives scores; one that several processes train has a `no_sync`, for all parts but the last.
            optimizer: of its weights.
            x_NCHW: images.
            targets: theirs.
            parts: in which the batch is computed.
            count: by how many images the sum of losses is divided; None for those that are here.
        """
        optimizer.zero_grad(set_to_none=True)
        if self.compile == "reduce-overhead":  # the graphs may write over what the last step left, gradients included
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        total = torch.zeros((), device=x_NCHW.device)
        if x_NCHW.dim() == 4:  # features (N, D) of a frozen body have no layout
            x_NCHW = x_NCHW.contiguous(memory_format=getattr(torch, layout_name(self.memory_format)))
        pieces = list(zip(x_NCHW.chunk(parts), targets.chunk(parts), strict=True))
        alone = getattr(network, "no_sync", nullcontext)
        for number, (x, target) in enumerate(pieces, start=1):
            with alone() if number < len(pieces) else nullcontext():
                with explained(len(x)), self.autocast(x.device.type):
                    output = network(x)
                    taught = None if self.teacher is None else self.teacher.scores(x)
                loss = self.loss(output, target, taught) / (count or len(x_NCHW))
                scaled = loss if self.scaler is None else self.scaler.scale(loss)
                scaled.backward()  # type: ignore[no-untyped-call]
                total += loss.detach()
        self._update(network, optimizer)
        return total

    def _update(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        if self.clip_norm:
            if self.scaler is not None:
                self.scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(network.parameters(), self.clip_norm)
        if self.scaler is None:
            optimizer.step()
        else:  # leaves the update out where a gradient was too large for float16, and scales less from then on
            self.scaler.step(optimizer)
            self.scaler.update()

    def autocast(self, device: str) -> torch.autocast:
        """The context of the step's precision."""
        return torch.autocast(device, _HALVES.get(self.precision), enabled=self.precision != "float32")

    def loss(self, output: Tensor | WithAuxiliary, targets: Tensor, taught: Tensor | None = None) -> Tensor:
        """The loss of a network's output, summed over the images, with its auxiliary heads where it has some."""
        if isinstance(output, WithAuxiliary):
            auxiliary = [self.loss(scores, targets) for scores in output.auxiliary]
            return self.loss(output.logits, targets, taught) + output.weight * torch.stack(auxiliary).sum()
        scores = output.float()
        loss = F.cross_entropy(
            scores, targets, self.class_weights, label_smoothing=self.label_smoothing, reduction="sum"
        )
        if taught is None:
            return loss
        compared = distillation_loss(scores, taught, self.temperature)
        return (1 - self.teacher_share) * loss + self.teacher_share * compared
