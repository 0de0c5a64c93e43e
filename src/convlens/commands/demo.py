"""`convlens demo`: why convolve? Measured on handwritten digits; then photographs, named with ImageNet weights."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from convlens import networks
from convlens.explaining.photographs import Photographs, how_to_get, in_words, installed_photographs, name_photographs
from convlens.lessons.demo import Demo, run_demo
from convlens.training.progress import choose_watcher

_NAMING = "efficientnet_lite0"  # small, quick on a processor, and its weights come with pip


def demo(
    *, epochs: int, seed: int, runs: Path, json_: bool, quiet: bool
) -> int:  # fmt: skip
    """Compare a convolutional and a fully connected network on digits, then name photographs."""
    found = run_demo(runs, epochs=epochs, seed=seed, watcher=choose_watcher(quiet or json_))
    if not json_:
        _show(found)
    photographs = _name_photographs(runs / "photos.png")
    if json_:
        print(json.dumps(_as_dict(found) | {"photographs": _photographs_as_dict(photographs)}, indent=2))
    else:
        _show_photographs(photographs)
    return 0


def _name_photographs(picture: Path) -> Photographs | None:
    """None if the weights are not installed."""
    if networks.installed_weights(_NAMING) is None:
        return None
    return name_photographs(installed_photographs(), picture, network=_NAMING)


def _show_photographs(found: Photographs | None) -> None:
    title = "\nPhotographs, named by a network that has learnt the 1,000 classes of ImageNet"
    Console(highlight=False).print(title, style="bold")
    if found is None:
        print(f"{_NAMING} has no weights here; to see this part, {how_to_get(_NAMING)} and run the demo again")
        return
    for answer in found.answers:
        print(f"  {Path(answer.file).name}: {in_words(answer)}")
    print(f"heat      {found.picture}")
    print(f"yours     convlens predict {found.network} PHOTO.jpg")
    print(f"          convlens explain {found.network} PHOTO.jpg")


def _photographs_as_dict(found: Photographs | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "network": found.network,
        "weights": found.weights.name,
        "picture": str(found.picture),
        "predictions": [answer.to_dict() for answer in found.answers],
    }


def _show(found: Demo) -> None:
    console = Console(highlight=False)
    console.print("\nObjection 1: a fully connected layer that keeps H×W has too many parameters", style="bold")
    table = Table("from", "to", "fully connected", "convolution", "times as many")
    for layer in found.first_layers:
        place = f"{layer.height}×{layer.width}×"
        table.add_row(
            f"{place}{layer.channels}",
            f"{place}{layer.out_channels}",
            f"{layer.fully_connected:,}",
            f"{layer.convolution:,} ({layer.kernel_size}×{layer.kernel_size})",
            f"{layer.fully_connected / layer.convolution:,.0f}",
        )
    console.print(table)
    console.print("\nObjection 2: it learns every place anew. Accuracy on shifted test images", style="bold")
    table = Table("shift", *(f"{one.name}, {one.parameters:,} parameters" for one in found.trained))
    for shift, accuracies in enumerate(zip(*(one.at_shifts for one in found.trained), strict=True)):
        table.add_row(f"{shift} px", *(f"{value:.1%}" for value in accuracies))
    console.print(table)
    console.print("Both had the same images, epochs and recipe; training shifted by up to 4 pixels.")
    _show_run(found)


def _show_run(found: Demo) -> None:
    lenet = found.trained[-1]
    print("\nHeld-out digits, named after what they are:")
    for answer in found.predictions:
        guesses = ", ".join(f"{guess.label} {guess.probability:.1%}" for guess in answer.classes)
        print(f"  {Path(answer.file).name}: {guesses or answer.error}")
    done = lenet.evaluation
    print(
        f"\n{lenet.name} is right on {done.top1:.2%} of {done.images} held-out digits "
        f"(95 % interval {done.top1_low:.2%} to {done.top1_high:.2%})"
    )
    print(f"run       {lenet.folder.path}")
    print(f"report    {lenet.folder.path / 'report.html'}")
    print(f"shifts    {found.page}")
    print(f"predict   convlens predict {lenet.folder.path} IMAGES")


def _as_dict(found: Demo) -> dict[str, Any]:
    return {
        "first_layers": [vars(layer) for layer in found.first_layers],
        "networks": [
            {
                "name": one.name,
                "run": str(one.folder.path),
                "parameters": one.parameters,
                "top1": one.evaluation.top1,
                "top1_low": one.evaluation.top1_low,
                "top1_high": one.evaluation.top1_high,
                "at_shifts": list(one.at_shifts),
            }
            for one in found.trained
        ],
        "predictions": [answer.to_dict() for answer in found.predictions],
    }
