"""The training loop. Everything random in it is a function of the seed and the position, so it can be cut anywhere."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from convlens.data import Batch, Loader
from convlens.evaluation import Evaluation, summarise
from convlens.runs import Which
from convlens.runs.run_weights import save_weights
from convlens.training.features import Features
from convlens.training.job import Job
from convlens.training.optimisers import body_that_learns, heads_that_learn, let_learn, set_rate
from convlens.training.progress import Watcher
from convlens.training.schedule import rate_at
from convlens.training.selection import improves, keeps
from convlens.training.speed.numerics import uncompiled
from convlens.training.state import State, save_checkpoint
from convlens.training.step_memory import is_out_of_memory
from convlens.training.trouble import check_answers, check_loss, check_weights_finite


def fit(
    job: Job, state: State, watcher: Watcher, asked_to_stop: Callable[[], int], *, until: int | None = None
) -> int | None:
    """Train from `state` to the end.

    Args:
        job: all that is fixed.
        state: where training stands; changed in place.
        watcher: is told about every step and epoch.
        asked_to_stop: non-zero once the user wants to stop; the step at hand is finished and a checkpoint written.
        until: epochs after which it stops, too.

    Returns:
        None if the end was reached; else the signal that stopped it, 0 for `until`.
    """
    config, network, optimizer, team = job.config, job.network, job.optimizer, job.team
    saved = time.monotonic()
    with torch.random.fork_rng(devices=[job.device] if job.device.type == "cuda" else []):
        while not _finished(job, state):
            if until is not None and state.epoch >= until:
                return 0
            network.train()
            frozen = _is_frozen(job, state)
            let_learn(network, heads_that_learn(network, job.heads) if frozen else body_that_learns(network, config))
            learning, source = _learning(job, state)
            learning = team.learning(learning)
            for batch in source.epoch(state.epoch, start_step=state.step, device=job.device):
                started = time.monotonic()
                position = state.epoch * job.train_loader.steps + state.step
                set_rate(optimizer, _rate(job, position))
                torch.manual_seed(_seed_of(config.seed, position, *team.seed))  # for dropout
                loss = team.mean(_take_step(job, state, learning, batch, watcher))
                if job.average is not None:
                    job.average.update(network, position)
                state.loss_sum += loss
                state.step += 1
                if job.device.type == "cpu":  # a GPU would have to be waited for; there _save looks
                    _check_loss(job, state, loss)
                state.seconds += time.monotonic() - started
                watcher.step(state)
                signal, due = team.agreed(asked_to_stop(), _due(job, state, saved))
                if signal:
                    _save(job, state, watcher)
                    return signal
                if due:
                    _save(job, state, watcher)
                    saved = time.monotonic()
            _finish_epoch(job, state, watcher)
            _save(job, state, watcher)
            saved = time.monotonic()
    return None


def begin_with_probe(job: Job, state: State, watcher: Watcher) -> None:
    """Give the network the head of a linear probe, before its first epoch; metrics.jsonl has it as epoch 0."""
    frozen = job.frozen
    if frozen is None or not job.config.probe or state.history:
        return
    started = time.monotonic()
    with torch.random.fork_rng(devices=[]):
        probe, loss = frozen.begin_with_probe(job.network, job.config, job.device)
    if job.average is not None:
        job.average.load_state_dict(job.network.state_dict())
    seconds = time.monotonic() - started
    images = len(job.train_loader.records)
    row = {"epoch": 0, "loss": loss, "lr": 0.0, "images_per_second": round(images / max(seconds, 1e-9), 1)}
    row |= _validation_row(job, state)
    state.history, state.best = [row], row
    _keep(job, "best", "last")
    _write_metrics(job, state)
    _save(job, state, watcher)
    reached = f"{row['val_top1']:.1%}" if "val_top1" in row else f"training loss {loss:.3f}"
    then = f"; fine-tuning for {job.config.epochs} epochs" if job.config.epochs else ""
    watcher.say(
        f"probe: {reached} in {time.monotonic() - started:.0f} s (features in {frozen.body.precision}, penalty "
        f"1/{probe.penalty:g} by {probe.chosen_by}){then}"
    )


def validate(job: Job, loader: Loader, epoch: int) -> Evaluation:
    """Evaluate the network as it is after an epoch, on the split of a loader without augmentation, in float32."""
    network = job.team.evaluating(job.kept_network.eval())
    with uncompiled(network):  # what is compiled is the training step
        own = [_probabilities(network, batch.images) for batch in loader.epoch(0, device=job.device)]
    p_NK = torch.cat(job.team.in_turns(own, loader.steps))
    check_answers(p_NK, epoch=epoch, run=job.folder.path)
    return summarise(job.dataset, "val", p_NK.cpu().numpy())


@torch.inference_mode()
def _probabilities(network: torch.nn.Module, x_NCHW: torch.Tensor) -> torch.Tensor:
    scores: torch.Tensor = network(x_NCHW)
    return scores.float().softmax(dim=1)


def _finished(job: Job, state: State) -> bool:
    patience = job.config.patience
    return state.epoch >= job.config.epochs or bool(patience and state.stale >= patience)


def _is_frozen(job: Job, state: State) -> bool:
    return state.epoch < job.config.freeze_epochs


def _learning(job: Job, state: State) -> tuple[torch.nn.Module, Loader | Features]:
    """What learns in an epoch, and from what: the network from images, or a head from features of a frozen body."""
    if _is_frozen(job, state) and job.frozen is not None and job.frozen.train is not None:
        return job.frozen.body.head, job.frozen.train
    return job.network, job.train_loader


def _take_step(job: Job, state: State, learning: torch.nn.Module, batch: Batch, watcher: Watcher) -> torch.Tensor:
    """One step; where memory does not suffice the batch is computed in twice as many parts, from then on."""
    targets = batch.labels if batch.soft_labels is None else batch.soft_labels
    while True:
        try:
            count = job.team.counted(len(targets))
            return job.step(learning, job.optimizer, batch.images, targets, state.parts, count)
        except RuntimeError as error:
            if not is_out_of_memory(error) or state.parts >= len(targets) or job.team.size > 1:
                raise
        job.optimizer.zero_grad(set_to_none=True)
        if job.device.type == "cuda":
            torch.cuda.empty_cache()
        state.parts = min(2 * state.parts, len(targets))
        watcher.say(f"out of memory: the batch of {len(targets)} is computed in {state.parts} parts from now on")


def _check_loss(job: Job, state: State, loss: torch.Tensor) -> None:
    rate = _rate(job, state.epoch * job.train_loader.steps + state.step - 1)
    where = job.team.suspect()
    check_loss(loss.item(), epoch=state.epoch, step=state.step, rate=rate, run=job.folder.path, where=where)


def _check_all(job: Job, state: State) -> None:
    """Look at the loss and the weights before they could overwrite good ones."""
    if state.step:
        _check_loss(job, state, state.loss_sum)
    check_weights_finite(job.network, epoch=state.epoch, step=state.step, run=job.folder.path)


def _rate(job: Job, position: int) -> float:
    config = job.config
    return rate_at(position, job.total_steps, peak=config.learning_rate, warmup=config.warmup)


def _seed_of(*words: int) -> int:
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _due(job: Job, state: State, saved: float) -> bool:
    config = job.config
    by_steps = config.checkpoint_steps and state.step % config.checkpoint_steps == 0
    return bool(by_steps) or time.monotonic() - saved >= config.checkpoint_seconds


def _finish_epoch(job: Job, state: State, watcher: Watcher) -> None:
    _check_all(job, state)
    row = _row(job, state)
    monitor, images = job.config.monitor, len(job.val_loader.records) if job.val_loader else 0
    kept = keeps(row, state.history, monitor, images)
    state.finish_epoch(row, kept=kept, improved=improves(row, state.history, monitor))
    _keep(job, *(("best", "last") if kept else ("last",)))
    _write_metrics(job, state)
    watcher.epoch(row, kept)


def _keep(job: Job, *names: Which) -> None:
    weights = job.team.whole(job.kept_network).state_dict()  # of all processes, though one writes
    if job.team.writes:
        for which in names:
            save_weights(weights, job.folder.weights_path(which))


def _write_metrics(job: Job, state: State) -> None:
    if job.team.writes:
        job.folder.write_metrics(state.history)


def _row(job: Job, state: State) -> dict[str, Any]:
    """What is known about an epoch, as it is written to metrics.jsonl."""
    images = state.step * job.config.images_per_step
    row = {
        "epoch": state.epoch + 1,
        "loss": state.loss_sum.item() / state.step,
        "lr": _rate(job, state.epoch * job.train_loader.steps + state.step - 1),
        "images_per_second": round(images / max(state.seconds, 1e-9), 1),
    }
    return row | _validation_row(job, state)


def _validation_row(job: Job, state: State) -> dict[str, Any]:
    """What the network reaches on the validation images, as it is written to metrics.jsonl; empty without such."""
    if job.val_loader is None:
        return {}
    done = None
    if job.frozen is not None and (_is_frozen(job, state) or not state.history):
        done = job.frozen.evaluation(job.kept_network, job.dataset, job.device)
    done = done or validate(job, job.val_loader, state.epoch)
    top5 = {} if done.top5 is None else {"val_top5": done.top5}
    return {
        "val_log_loss": done.log_loss,
        "val_top1": done.top1,
        **top5,
        "val_macro_f1": done.macro_f1,
        "val_calibration_error": done.calibration_error,
    }


def _save(job: Job, state: State, watcher: Watcher) -> None:
    """Write the checkpoint; a run that is stopped before its first epoch ends has weights to use all the same."""
    _check_all(job, state)
    missing: list[Which] = ["best", "last"]
    missing = job.team.first(lambda: [which for which in missing if not job.folder.weights_path(which).exists()])
    if missing:
        _keep(job, *missing)
    states = {name: job.team.whole(part).state_dict() for name, part in job.parts.items()}
    if job.team.writes:
        save_checkpoint(job.folder.checkpoint_path, state, states)
    watcher.saved(state)
