import json

import numpy as np
import pytest

from convlens.arithmetic import avg_pool2d, max_pool2d
from convlens.cli.main import main

X = [[2, -4, 2, 2], [0, 1, 0, -1], [2, 1, 0, 2], [5, -3, 1, 4]]

LECTURE = """\
max pooling
input 4×4          output 2×2
[ 2][-4]  2   2    [2] 2
[ 0][ 1]  0  -1     5  4
  2   1   0   2
  5  -3   1   4

output[0, 0] = max(2, -4, 0, 1) = 2

average pooling
input 4×4          output 2×2
[ 2][-4]  2   2    [-0.25]  0.75
[ 0][ 1]  0  -1      1.25   1.75
  2   1   0   2
  5  -3   1   4

output[0, 0] = (2 + (-4) + 0 + 1) / 4 = -0.25
"""


def run(capsys, *words):
    code = main(["pool", *words])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_the_lectures_example_is_the_default(capsys):
    assert run(capsys) == (0, LECTURE, "")


def test_json_holds_both(capsys):
    shown = json.loads(run(capsys, "--json")[1])
    assert shown["max"]["output"] == [[2, 2], [5, 4]]
    assert shown["average"]["output"] == [[-0.25, 0.75], [1.25, 1.75]]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--operation max --kernel 3 --stride 2 --padding 1", max_pool2d(X, 3, stride=2, padding=1)),
        ("--operation max --kernel 2,1 --dilation 2,1", max_pool2d(X, (2, 1), dilation=(2, 1))),
        ("--operation average --kernel 3 --ceil-mode", avg_pool2d(X, 3, ceil_mode=True)),
        (
            "--operation average --kernel 2 --padding 1 --no-count-include-pad",
            avg_pool2d(X, 2, padding=1, count_include_pad=False),
        ),
        ("--operation average --divisor 2", avg_pool2d(X, 2, divisor_override=2)),
    ],
)
def test_options_mean_what_the_library_means(capsys, words, expected):
    code, out, _ = run(capsys, *words.split(), "--json")
    assert code == 0
    np.testing.assert_allclose(json.loads(out)["output"], expected)


def test_step_and_animate_one_operation(capsys, tmp_path):
    code, out, err = run(capsys, "--operation", "max", "--step", "--animate", str(tmp_path / "a.svg"))
    assert (code, err) == (0, f"wrote {tmp_path / 'a.svg'}: 4 frames\n")
    assert out.count("step ") == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--operation mean", "unknown pooling 'mean'; valid: max, average, both"),
        ("--step", "--step, --animate and --output show one operation; add --operation max or average"),
        ("--padding same", "padding is 'same'; a pooling takes numbers"),
        ("--padding 2", "padding is (2, 2), more than half of the window's 2 cells"),
        ("--kernel 9", "a kernel of 9 cells with dilation 1 spans 9, but the input has only 4"),
        ("--divisor 0", "divisor_override is 0"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(capsys, words, message):
    code, out, err = run(capsys, *words.split())
    assert (code, out) == (2, "")
    assert err.startswith(f"convlens: {message}")
    assert err.count("\n") == 1
