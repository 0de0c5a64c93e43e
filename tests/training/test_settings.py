import re
from importlib.resources import files

import pytest
import yaml

from convlens.errors import ConvlensError
from convlens.training.material import gather
from convlens.training.settings import RECIPES, read_recipe, settle


def test_every_shipped_recipe_is_listed_and_says_why():
    folder = files("convlens.training").joinpath("recipes")
    assert {entry.name for entry in folder.iterdir()} == {f"{name}.yaml" for name in RECIPES}
    for name in RECIPES:
        text = folder.joinpath(f"{name}.yaml").read_text()
        assert text.startswith("#")
        assert len(re.findall(r"\S+: .*#", text)) >= 3


@pytest.mark.parametrize("name", RECIPES)
def test_every_shipped_recipe_makes_a_configuration_with_its_values(name):
    config = settle({"data": "digits", "network": "resnet18", "recipe": name})
    for key, value in read_recipe(name).items():
        assert getattr(config, key) == value
    assert config.recipe == name


def test_auto_finetunes_where_weights_are_given():
    assert settle({"data": "digits"}).recipe == "scratch"
    assert settle({"data": "digits", "weights": "imagenet1k_v1"}).recipe == "finetune"


def test_finetuning_takes_the_best_published_weights():
    assert settle({"data": "digits", "network": "resnet50", "recipe": "finetune"}).weights == "imagenet1k_v2"
    with pytest.raises(ConvlensError, match="no weights are published for lenet5"):
        settle({"data": "digits", "network": "lenet5", "recipe": "finetune"})


def test_what_is_given_wins_over_the_recipe():
    config = settle({"data": "digits", "recipe": "strong", "epochs": 3, "mixup": 0.0})
    assert (config.epochs, config.mixup, config.cutmix) == (3, 0.0, 1.0)


def test_another_optimiser_brings_its_own_rate_and_decay():
    config = settle({"data": "digits", "optimizer": "sgd"})
    assert (config.learning_rate, config.decay) == (0.05, 5e-4)
    assert settle({"data": "digits", "optimizer": "sgd", "lr": 0.2}).learning_rate == 0.2


def test_a_file_is_a_recipe_and_a_misspelt_one_is_answered(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"epochs": 7}))
    assert settle({"data": "digits", "recipe": str(file)}).epochs == 7
    with pytest.raises(ConvlensError, match="unknown recipe 'stong'; did you mean strong"):
        settle({"data": "digits", "recipe": "stong"})
    file.write_text("epoch: 7")
    with pytest.raises(ConvlensError, match="did you mean epochs"):
        settle({"data": "digits", "recipe": str(file)})


@pytest.mark.parametrize(("given", "mirrored"), [({}, False), ({"mirrors": True}, True), ({"mirrors": False}, False)])
def test_what_differs_from_its_mirror_image_is_neither_flipped_nor_turned_far(given, mirrored):
    config = settle({"data": "digits", "network": "lenet5", "recipe": "strong"} | given)
    augmentation = gather(config, print).train_loader.augmentation
    assert augmentation.flip is mirrored
    assert augmentation.upright is not mirrored
    assert augmentation.policy == "trivial"
