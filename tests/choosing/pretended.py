"""A study whose trainings are pretended: how good each candidate is after its epochs is known beforehand."""

import json
from pathlib import Path

from convlens.choosing.candidates import Candidate
from convlens.choosing.limits import Costs
from convlens.choosing.searching import Search
from convlens.choosing.study import StudyFolder, open_trials
from convlens.choosing.study_progress import Quiet

IMAGES = 200
# name -> parameters, mistakes at the end; larger networks begin more slowly
NETWORKS = {f"net{n}": (100 * 2**n, 60 - 6 * n) for n in range(9)}


def study_in(path, **settings):
    candidates = {name: Candidate(network="lenet5", size=(16, 16)) for name in NETWORKS}
    usual = {"training": {"epochs": 32, "batch": 10}, "training_images": 1000, "validation_images": IMAGES, "seeds": 1}
    folder = StudyFolder(
        path=path,
        data="digits",
        fingerprint="f",
        settings=usual | settings,
        candidates=candidates,
        costs={
            name: Costs(parameters=parameters, macs=parameters, file_bytes=parameters, memory_bytes=None)
            for name, (parameters, _) in NETWORKS.items()
        },
        dropped={},
    )
    folder.write()
    return folder


def pretend(settings, until, held_out, watcher=None):
    """What `run_rung` gives, and a line in `calls.txt`."""
    network, epochs = settings["name"].partition("-")[0], settings["epochs"]
    wrong = NETWORKS[network][1] + (100 - 3 * int(network[3:])) * (epochs - until) // epochs
    run = Path(settings["runs"]) / settings["name"]
    run.mkdir(parents=True, exist_ok=True)
    with (run.parents[1] / "calls.txt").open("a") as calls:
        calls.write(f"{settings['name']} {until}\n")
    if held_out:
        keys = [str(i) for i in range(wrong)]
        told = {"split": "test", "images": IMAGES, "top1": 1 - wrong / IMAGES, "top1_low": 0.0, "top1_high": 1.0}
        (run / "held_out.json").write_text(json.dumps(told | {"epochs": until, "mistakes": keys}))
    return {"run": str(run), "epochs": until, "top1": 1 - wrong / IMAGES, "seconds": float(until), "stopped_by": 0}


def search_in(path, *, seed=0, run=pretend, settings=None, **options):
    """A search in a folder of pretended trainings, new or gone on with."""
    folder = study_in(path, **(settings or {}))
    usual = {
        "progress": Quiet(),
        "most": len(NETWORKS),
        "budget": None,
        "asked_to_stop": lambda: 0,
        "seeds": folder.settings["seeds"],
    }
    trials = open_trials(folder, seed)
    return Search(folder=folder, trials=trials, run=run, **usual | options)


def calls_in(path):
    return (path / "calls.txt").read_text().splitlines()
