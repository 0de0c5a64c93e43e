"""From what the user gives to a configuration: flags over the settings file over the recipe over the defaults."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Any

from convlens import networks
from convlens.data import open_dataset
from convlens.data.augmentation import SMALL_IMAGE
from convlens.errors import ConvlensError, unknown_name
from convlens.networks import places
from convlens.plain_yaml import read_yaml
from convlens.training.capacity import UNMIXED
from convlens.training.config import TrainConfig
from convlens.untrusted.documents import read_document

_PACKAGED = ("efficientnet_lite0", "mobilenet_v2")
_LOOKED_AT = 16  # images, to see whether they are photographs
RECIPES = ("scratch", "probe", "finetune", "strong")


def settle(given: Mapping[str, Any]) -> TrainConfig:
    """Make a configuration from what was given, and its recipe for the rest.

    `recipe` is a name, the path of a YAML file, or `auto`: finetune where weights are given or, for photographs, where
    published ones are on this machine, else scratch. Where weights are wanted and no network is named, it is the one
    whose weights are there.

    Raises:
        ConvlensError: an unknown recipe or setting, or a value that cannot be.
    """
    recipe = str(given.get("recipe") or "auto")
    if recipe == "auto":
        recipe = "finetune" if given.get("weights") or _weights_help(given) else "scratch"
    values = read_recipe(recipe) | {key: value for key, value in given.items() if value is not None}
    values["recipe"] = recipe
    if values.get("probe") and not values.get("weights"):
        values["network"] = str(given.get("network") or _network_with_weights())
        values["weights"] = _best_weights(values["network"])
    if values.get("optimizer") != read_recipe(recipe).get("optimizer"):  # its rate and decay are another optimiser's
        for name in ("lr", "weight_decay"):
            if given.get(name) is None:
                values.pop(name, None)
    if given.get("mixing_from") is None and any(given.get(name) is not None for name in UNMIXED):
        values["mixing_from"] = 0.0  # what is named is used
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
    """The published weights that are here, else those with the best accuracy."""
    networks.card(network)
    published = places.default(network)
    if published is None:
        raise ConvlensError(f"no weights are published for {network}; give a file or a run with --weights")
    return published.name


def _network_with_weights() -> str:
    """The network to fine-tune if none is named: of those whose weights come as packages, the first that is here."""
    return next((name for name in _PACKAGED if places.installed(name)), TrainConfig.network)


def _weights_help(given: Mapping[str, Any]) -> bool:
    """Whether published weights are here, and are for the kind of images that will be trained on."""
    network = given.get("network")
    here = places.installed(str(network)) if network is not None and networks.is_name(network) else None
    if network is None:
        here = places.installed(_network_with_weights())
    return here is not None and _are_photographs(given)


def _are_photographs(given: Mapping[str, Any]) -> bool:
    """Whether images are encoded files larger than icons; what cannot be opened is for training to say."""
    try:
        dataset = open_dataset(str(given.get("data")), max_bad=float(given.get("max_bad") or 1.0))
        if dataset.source.raw:
            return False
        records = dataset.records("train")
        some = records[:: max(1, len(records) // _LOOKED_AT)]
        return bool(median(min(dataset.read(record).shape[:2]) for record in some) > SMALL_IMAGE)
    except ConvlensError:
        return False
