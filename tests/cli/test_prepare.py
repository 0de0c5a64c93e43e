import numpy as np
from PIL import Image

from convlens.cli.main import main
from convlens.data import Augmentation, Loader, open_dataset
from convlens.files import cache_folder
from convlens.images import Preprocessing


def test_what_is_prepared_need_not_be_decoded_again(tmp_path, capsys):
    for number, name in enumerate(("cat", "dog")):
        for i in range(20):
            path = tmp_path / "photos" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(100 * number + i).integers(0, 256, (90, 120, 3), np.uint8)
            Image.fromarray(noise).save(path)
    assert main(["prepare", str(tmp_path / "photos"), "--network", "resnet18", "--size", "72"]) == 0
    assert "images in" in capsys.readouterr().out
    before = {path: path.stat().st_size for path in (cache_folder() / "images").rglob("*.pixels")}
    assert sum(before.values()) > 30 * 90 * 90 * 3
    dataset = open_dataset(tmp_path / "photos")
    rgb = Preprocessing(size=(72, 72), mean=(0.5,) * 3, std=(0.5,) * 3, resize=72, crop="center")
    crops = Augmentation.usual_for(dataset, (72, 72))
    list(Loader(dataset, "train", rgb, batch_size=8, augmentation=crops).epoch(0))
    assert {path: path.stat().st_size for path in (cache_folder() / "images").rglob("*.pixels")} == before


def test_digits_need_no_store(capsys):
    assert main(["prepare", "digits", "--network", "lenet5"]) == 0
    assert "need no store" in capsys.readouterr().out
    assert main(["prepare", "nowhere"]) == 2
    assert "does not exist" in capsys.readouterr().err
