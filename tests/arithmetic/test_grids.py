import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from convlens.arithmetic import ArithmeticSettingError
from convlens.arithmetic.grids import looks_like_grid, parse_grid, read_grid, write_grid

shapes = array_shapes(min_dims=2, max_dims=2)
whole = arrays(np.int64, shapes, elements=st.integers(-(2**53), 2**53))
fractions = arrays(np.float64, shapes, elements=st.floats(allow_nan=False, allow_infinity=False))


@given(whole | fractions)
def test_what_is_written_can_be_read(grid):
    text = write_grid(grid)
    assert looks_like_grid(text)
    np.testing.assert_array_equal(parse_grid(text), grid)


@pytest.mark.parametrize("text", ["1 2 / 3 4", "1,2;3,4", "1, 2\n3, 4\n", "  1  2/ 3 4 /"])
def test_ways_to_write_the_same_grid(text):
    assert parse_grid(text).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the grid is empty; write it as"),
        ("1 2 / 3", "row 2 of the grid has 1 numbers and row 1 has 2"),
        ("1 x", "'x' is not a number"),
    ],
)
def test_what_is_no_grid_is_refused(text, message):
    with pytest.raises(ArithmeticSettingError, match=message):
        parse_grid(text)


def test_files(tmp_path):
    (tmp_path / "a.csv").write_text("\ufeff1,2\r\n3,4.5\r\n", encoding="utf-8")
    (tmp_path / "a.tsv").write_text("1\t2\n", encoding="utf-8")
    np.save(tmp_path / "a.npy", np.array([[1, 2]], np.uint8))
    assert read_grid(tmp_path / "a.csv").tolist() == [[1, 2], [3, 4.5]]
    assert read_grid(tmp_path / "a.tsv").tolist() == [[1, 2]]
    assert read_grid(tmp_path / "a.npy").dtype == np.uint8


def test_damaged_files_are_refused(tmp_path):
    (tmp_path / "words.csv").write_text("a,b", encoding="utf-8")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY")
    np.save(tmp_path / "cube.npy", np.zeros((2, 2, 2)))
    np.save(tmp_path / "object.npy", np.array([[None]]), allow_pickle=True)
    for name, message in {
        "words.csv": "words.csv holds no grid of numbers: 'a' is not a number",
        "bytes.csv": "bytes.csv holds no grid of numbers",
        "cut.npy": "cut.npy is not an array of numbers",
        "cube.npy": r"cube.npy holds shape \(2, 2, 2\) of float64; use two axes",
        "object.npy": "object.npy is not an array of numbers",
    }.items():
        with pytest.raises(ArithmeticSettingError, match=message):
            read_grid(tmp_path / name)
