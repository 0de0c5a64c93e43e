import errno
import os
import shutil

import pytest
import torch
from PIL import Image

from convlens import networks, runs
from convlens.cli.main import main
from convlens.errors import ConvlensError
from convlens.images import ImageError
from convlens.runs.run_weights import save_weights
from convlens.training import TrainConfig, job, step_memory, trouble
from convlens.training.progress import Silence
from convlens.training.step import Step
from convlens.training.train import go_on, start

SMALL = {"data": "digits", "network": "lenet5", "batch": 256, "epochs": 3, "tune": False, "threads": 1}


class Notes(Silence):
    def __init__(self):
        self.said = []

    def say(self, note):
        self.said.append(note)


def spoil(monkeypatch, at_step, what):
    """Let `what` happen at a step of the training."""
    plain, done = Step.__call__, []

    def step(self, network, optimizer, x, targets, parts=1, count=None):
        done.append(parts)
        if len(done) == at_step:
            what(network)
        return plain(self, network, optimizer, x, targets, parts, count)

    monkeypatch.setattr(Step, "__call__", step)
    return done


def poison(network):
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))


def test_a_loss_that_is_no_number_stops_names_the_step_and_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    spoil(monkeypatch, 8, poison)  # one step on trial, then 4 an epoch
    with pytest.raises(ConvlensError, match=r"the loss became nan in epoch 2, step 3.*smaller --lr"):
        start(TrainConfig(**SMALL, runs=str(tmp_path)), Silence())
    monkeypatch.undo()
    folder = runs.open_folder(tmp_path / "digits")
    assert all(tensor.isfinite().all() for tensor in folder.load_network("last").state_dict().values())
    assert len(folder.metrics()) == 1
    assert go_on(folder.path, {}, Silence()).folder.description.result["epochs"] == 3


def test_weights_that_are_no_numbers_never_overwrite_a_checkpoint(tmp_path):
    network = networks.create("lenet5")
    poison(network)
    with pytest.raises(trouble.TrainingError, match="weights became infinite or nan in epoch 1, step 5"):
        trouble.check_weights_finite(network, epoch=0, step=5, run=tmp_path)


@pytest.mark.parametrize("command", ["train", "find-lr"])
@pytest.mark.parametrize(
    "batch", [["--batch", "1"], ["--batch", "8", "--accumulate", "8"], ["--batch", "9", "--accumulate", "8"]]
)
def test_a_batch_norm_with_a_single_value_is_explained(tmp_path, capsys, monkeypatch, command, batch):
    monkeypatch.chdir(tmp_path)
    words = [command, "digits", "--network", "resnet18", "--size", "32", "--threads", "1", "--quiet"]
    assert main([*words, *batch, *(["--no-tune"] if command == "train" else [])]) == 2
    shown = capsys.readouterr().err
    assert "with 1 image at a time a norm gets a single value a channel" in shown
    assert "use a larger --batch" in shown
    assert shown.count("\n") == 1
    assert not list(tmp_path.rglob("run.yaml"))


def test_a_divergence_first_seen_in_validation_stops_with_the_last_good_checkpoint(tmp_path, monkeypatch):
    class Overflows(Silence):
        def step(self, state):
            if state.epoch == 1 and state.step == 4:  # finite weights, and sums that are not
                for parameter in list(jobs[0].network.parameters())[::2]:
                    parameter.data.fill_(1e30)

    jobs, assemble = [], job._assemble

    def remembered(*arguments):
        jobs.append(assemble(*arguments))
        return jobs[0]

    monkeypatch.setattr(job, "_assemble", remembered)
    with pytest.raises(ConvlensError, match=r"after epoch 2 the network gives no numbers for \d+ of \d+ validation"):
        start(TrainConfig(**SMALL, runs=str(tmp_path)), Overflows())
    folder = runs.open_folder(tmp_path / "digits")
    assert len(folder.metrics()) == 1
    assert "NaN" not in (folder.path / "metrics.jsonl").read_text()


def test_statistics_that_are_no_numbers_are_seen_like_weights(tmp_path):
    network = networks.create("resnet20")
    network.get_buffer(first_statistic(network)).fill_(float("inf"))
    with pytest.raises(trouble.TrainingError, match="weights became infinite or nan"):
        trouble.check_weights_finite(network, epoch=0, step=5, run=tmp_path)


def first_statistic(network):
    return next(name for name, _ in network.named_buffers() if name.endswith("running_var"))


def test_a_run_with_a_weight_that_is_no_number_is_not_evaluated_to_nan(run, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy)
    network = runs.open_folder(copy).load_network()
    poison(network)
    save_weights(network.state_dict(), copy / "weights" / "best.safetensors")
    assert main(["evaluate", str(copy), "digits", "--json"]) in (1, 2)
    shown = capsys.readouterr()
    assert "NaN" not in shown.out
    assert "nan" not in shown.out
    assert "Traceback" not in shown.err
    assert shown.err.count("\n") == 1


def test_fewer_images_than_the_usual_batch_make_it_smaller_and_it_is_said(tmp_path):
    for number in range(32):
        path = tmp_path / "photos" / ("train" if number < 24 else "val") / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (32, 32), 8 * number).save(path)
    settings = {"data": str(tmp_path / "photos"), "network": "lenet5", "epochs": 2, "tune": False}
    notes = Notes()
    folder = start(TrainConfig(**settings, runs=str(tmp_path / "runs"), checkpoint_steps=1), notes).folder
    assert "24 images to train on, so a step takes 12 instead of 32" in notes.said
    assert folder.config["batch"] == 12
    (folder.path / "checkpoint.pt").unlink()
    assert go_on(folder.path, {}, Silence()).folder.description.result["epochs"] == 2
    with pytest.raises(ConvlensError, match="use at most 24"):
        start(TrainConfig(**settings, batch=64, runs=str(tmp_path / "runs")), Silence())


def test_a_training_that_is_no_better_than_guessing_says_so_and_what_helps(tmp_path, capsys):
    words = ["train", "digits", "--network", "resnet20", "--batch", "256", "--lr", "1e-9", "--epochs", "1", "--no-tune"]
    assert main([*words, "--threads", "1", "--runs", str(tmp_path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "no better than guessing: the commonest class alone would be right on" in shown
    assert "train longer (--epochs 30)" in shown
    assert "--recipe finetune" in shown
    assert "no better than guessing" in (tmp_path / "digits" / "report.html").read_text(encoding="utf-8")
    assert main(["evaluate", str(tmp_path / "digits"), "digits"]) == 0
    assert "no better than guessing" in " ".join(capsys.readouterr().out.split())


def test_a_rate_far_too_high_is_one_line_and_exit_code_2(tmp_path, capsys):
    words = ["train", "digits", "--network", "lenet5", "--optimizer", "sgd", "--lr", "1e5", "--clip-norm", "0"]
    assert main([*words, "--batch", "256", "--no-tune", "--quiet", "--runs", str(tmp_path)]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("convlens: ")
    assert "smaller --lr" in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize(("from_step", "said"), [(0, "trial step"), (5, "from now on")])
def test_where_memory_does_not_suffice_the_batch_is_halved_and_accumulated_and_it_is_said(
    tmp_path, monkeypatch, from_step, said
):
    plain, notes, done = Step.__call__, Notes(), []

    def step(self, network, optimizer, x, targets, parts=1, count=None):
        if len(done) >= from_step and len(x) / parts > 100:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        done.append(parts)
        return plain(self, network, optimizer, x, targets, parts, count)

    monkeypatch.setattr(Step, "__call__", step)
    folder = start(TrainConfig(**SMALL, runs=str(tmp_path)), notes).folder
    assert folder.description.result["epochs"] == 3
    if said == "trial step":  # before the first epoch, and once
        expected = ["out of memory in a trial step: the batch of 256 is computed in 4 parts"]
        assert done == [4] * 13
    else:
        expected = [f"out of memory: the batch of 256 is computed in {n} parts from now on" for n in (2, 4)]
        assert done == [1] * 5 + [4] * 8
    assert [note for note in notes.said if "out of memory" in note] == expected
    assert folder.description.numerics["parts"] == (4 if said == "trial step" else 1)


def test_other_errors_are_not_taken_for_a_lack_of_memory(tmp_path, monkeypatch):
    def broken(network):
        raise RuntimeError("sizes do not match")

    spoil(monkeypatch, 2, broken)
    with pytest.raises(RuntimeError, match="sizes do not match"):
        start(TrainConfig(**SMALL, runs=str(tmp_path)), Silence())
    assert not (tmp_path / "digits").exists()


def test_the_parts_are_predicted_from_the_anatomy(monkeypatch):
    network, x = networks.create("resnet18", classes=10), torch.empty(16, 3, 64, 64)
    config = TrainConfig(data="digits")
    monkeypatch.setattr(step_memory, "free_memory", lambda _: 10**12)
    assert step_memory.parts_that_fit(network, x, config)[0] == 1
    whole = step_memory.training_memory(network, (16, 3, 64, 64), optimizer="adamw").total
    half = step_memory.training_memory(network, (8, 3, 64, 64), optimizer="adamw").total
    assert half < whole
    monkeypatch.setattr(step_memory, "free_memory", lambda _: int(whole * 0.99 / 0.9))
    parts, needed, _ = step_memory.parts_that_fit(network, x, config)
    assert (parts, needed) == (2, half)
    monkeypatch.setattr(step_memory, "free_memory", lambda _: 10**6)
    with pytest.raises(trouble.TrainingError, match="one image needs about"):
        step_memory.parts_that_fit(network, x, config)


def test_free_memory_is_known_and_not_more_than_the_machine_has():
    free = step_memory.free_memory(torch.device("cpu"))
    assert 0 < free < 2**50


@pytest.mark.parametrize(
    ("limit", "used", "cached", "free"),
    [
        ("1000", "700", "200", 500),
        ("1000", "1000", "1000", 1000),
        ("1000", "0", "0", 1000),
        ("max", "700", "200", None),
    ],
)
def test_the_file_cache_of_a_container_counts_as_free(tmp_path, limit, used, cached, free):
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{used}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\nfile {cached}\nfile_mapped 7\n")
    assert step_memory._of_container(tmp_path) == free


def test_a_source_that_vanishes_is_named_and_the_checkpoint_stays(tmp_path, monkeypatch):
    for number in range(40):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (32, 32), number).save(path)
    settings = {"network": "lenet5", "batch": 4, "epochs": 3, "tune": False, "runs": str(tmp_path / "runs")}

    class Vandal(Silence):
        def epoch(self, row, kept):
            def vanished(loader, index):
                raise ImageError(f"{loader.records[index].key} cannot be opened: No such file or directory")

            monkeypatch.setattr("convlens.data.loader.Loader._image", vanished)

    with pytest.raises(ImageError, match="cannot be opened"):
        start(TrainConfig(data=str(tmp_path / "photos"), **settings), Vandal())
    monkeypatch.undo()
    assert len(runs.open_folder(tmp_path / "runs" / "photos").metrics()) == 1


def test_a_class_of_one_image_is_trained_with(tmp_path):
    for number in range(21):
        path = tmp_path / "photos" / ("rare" if number == 20 else "ab"[number % 2]) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (32, 32), 10 * number).save(path)
    for balance in ("none", "sampling", "loss"):
        config = TrainConfig(
            data=str(tmp_path / "photos"),
            network="lenet5",
            batch=4,
            epochs=1,
            balance=balance,
            runs=str(tmp_path / "runs"),
        )
        assert start(config, Silence()).folder.classes == ("a", "b", "rare")


def test_a_folder_that_may_not_be_written_is_one_line(tmp_path, monkeypatch, capsys):
    def refuse(*_args, **_keywords):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "runs/train")

    monkeypatch.setattr("convlens.runs.run_folder._unused", refuse)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "digits", "--network", "lenet5", "--epochs", "1", "--no-tune", "--quiet"]) == 2
    assert "Permission denied (runs/train); choose another folder" in capsys.readouterr().err
