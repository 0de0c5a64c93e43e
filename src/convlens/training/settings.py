"""From what the user gives to a configuration: flags over the settings file over the recipe over the defaults."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from convlens import networks
from convlens.errors import ConvlensError, unknown_name
from convlens.plain_yaml import read_yaml
from convlens.training.config import TrainConfig
from convlens.untrusted.documents import read_document

RECIPES = ("scratch", "finetune", "strong")


def settle(given: Mapping[str, Any]) -> TrainConfig:
    """Make a configuration from what was given, and its recipe for the rest.

    `recipe` is a name, the path of a YAML file, or `auto`: finetune where weights are given, else scratch.

    Raises:
        ConvlensError: an unknown recipe or setting, or a value that cannot be.
    """
    recipe = str(given.get("recipe") or "auto")
    if recipe == "auto":
        recipe = "finetune" if given.get("weights") else "scratch"
    values = read_recipe(recipe) | {key: value for key, value in given.items() if value is not None}
    values["recipe"] = recipe
    if recipe == "finetune" and not values.get("weights"):
        values["weights"] = _best_weights(str(values.get("network", "resnet18")))
    if values.get("optimizer") != read_recipe(recipe).get("optimizer"):  # its rate and decay are another optimiser's
        for name in ("lr", "weight_decay"):
            if given.get(name) is None:
                values.pop(name, None)
    return TrainConfig.from_dict(values)


def read_recipe(name: str) -> dict[str, Any]:
    """Read a recipe by its name or the path of its file."""
    if name in RECIPES:
        text = files("convlens.training").joinpath("recipes", f"{name}.yaml").read_text(encoding="utf-8")
        settings: dict[str, Any] = read_yaml(text)
        return settings
    if Path(name).suffix.lower() in (".yaml", ".yml"):
        return read_settings(name)
    raise unknown_name("recipe", name, ["auto", *RECIPES, "or a YAML file"])


def read_settings(path: str | Path) -> dict[str, Any]:
    """Read the settings of a YAML file.

    Raises:
        ConvlensError: if the file is missing or holds no mapping of settings.
    """
    try:
        content = read_document(Path(path))
    except OSError as error:
        raise ConvlensError(f"{path} cannot be read: {error.strerror}; give a YAML file of training settings") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConvlensError(f"{path} holds no settings; write lines such as 'epochs: 30'")
    return content


def _best_weights(network: str) -> str:
    """The published weights with the best accuracy."""
    weights = {name: one for name, one in networks.card(network).weights.items() if one.top1 is not None}
    if not weights:
        raise ConvlensError(f"no weights are published for {network}; give a file or a run with --weights")
    return max(weights, key=lambda name: weights[name].top1 or 0.0)
