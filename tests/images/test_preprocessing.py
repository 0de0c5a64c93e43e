import numpy as np
import pytest

from convlens.errors import ConvlensError
from convlens.images import Preprocessing

IMAGENET = Preprocessing(
    size=(224, 224), resize=256, crop="center", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_what_is_saved_is_loaded(tmp_path, suffix):
    IMAGENET.save(tmp_path / f"preprocessing.{suffix}")
    assert Preprocessing.load(tmp_path / f"preprocessing.{suffix}") == IMAGENET


def test_white_becomes_one_minus_mean_over_std():
    white = IMAGENET.apply(np.full((300, 500, 3), 255, np.uint8))
    assert white.shape == (3, 224, 224)
    assert white.dtype == np.float32
    np.testing.assert_allclose(
        white[:, 0, 0], [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], rtol=1e-6
    )


def test_a_size_that_cannot_come_out_is_refused():
    with pytest.raises(ConvlensError, match="without a crop does not give size"):
        Preprocessing(size=(8, 8), resize=10, mean=(0.5,), std=(0.5,), channels=1)
