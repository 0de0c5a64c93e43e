import numpy as np
import pytest

from convlens.arithmetic import conv2d
from convlens.arithmetic.kernels import named, names, purpose
from convlens.errors import UnknownNameError

STEP_UP = np.repeat([[0, 0, 9, 9]], 4, axis=0)


def test_every_kernel_has_a_purpose_and_an_odd_size_or_two_rows():
    assert all(purpose(name) and named(name).ndim == 2 for name in names())


@pytest.mark.parametrize("name", ["identity", "blur", "gaussian", "gaussian5", "sharpen", "shift"])
def test_these_keep_the_brightness(name):
    assert named(name).sum() == pytest.approx(1)


@pytest.mark.parametrize("name", ["edges", "laplacian", "sobel", "sobel-rows", "prewitt", "scharr", "roberts"])
def test_these_give_nothing_on_a_flat_area(name):
    assert named(name).sum() == 0


def test_sobel_finds_the_edge_across_its_direction():
    assert conv2d(STEP_UP, named("sobel")).tolist() == [[36, 36], [36, 36]]
    assert not conv2d(STEP_UP, named("sobel-rows")).any()


def test_shift_moves_to_the_right():
    assert conv2d([[1, 2, 3]], named("shift"), padding=1).tolist() == [[0, 1, 2]]


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown kernel 'sobol'; did you mean sobel"):
        named("sobol")
