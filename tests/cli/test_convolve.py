import json
import re

import numpy as np
import pytest
from PIL import Image

from convlens.arithmetic import autocorrelate, conv2d, conv_transpose2d, convolve
from convlens.cli.main import main

X = [[3, 3, 2, 1, 0], [0, 0, 1, 3, 1], [3, 1, 2, 2, 3], [2, 0, 0, 2, 2], [2, 0, 0, 0, 1]]
KERNEL = [[0, 1, 2], [2, 2, 0], [0, 1, 2]]

LECTURE = """\
input 5×5         kernel 3×3   output 3×3
[3][3][2] 1  0     0  1  2     [12] 12  17
[0][0][1] 3  1     2  2  0      10  17  19
[3][1][2] 2  3     0  1  2       9   6  14
 2  0  0  2  2
 2  0  0  0  1

output[0, 0] = 3·0 + 3·1 + 2·2 + 0·2 + 0·2 + 1·0 + 3·0 + 1·1 + 2·2 = 12
rows and columns: ⌊(5 + 0 + 0 − 1·(3 − 1) − 1) / 1⌋ + 1 = 3
"""


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def run(capsys, *words):
    code = main(["convolve", *words])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def result(capsys, *words):
    code, out, err = run(capsys, *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_the_lectures_example_is_the_default(capsys):
    assert run(capsys) == (0, LECTURE, "")


def test_step_shows_every_window_and_what_is_not_yet_known(capsys):
    code, out, _ = run(capsys, "--step")
    assert code == 0
    assert out.count("step ") == 9
    assert "[0][1][3] 1     2  2  0      10 [17]  ?" in out.split("step 5 of 9")[1]
    assert [int(value) for value in re.findall(r"= (\d+)\n", out)] == [12, 12, 17, 10, 17, 19, 9, 6, 14]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), conv2d(X, KERNEL)),
        (("--stride", "2,1", "--padding", "1,2,0,1"), conv2d(X, KERNEL, stride=(2, 1), padding=((1, 2), (0, 1)))),
        (("--padding", "2", "--padding-mode", "circular"), conv2d(X, KERNEL, padding=2, padding_mode="circular")),
        (("--dilation", "1,2", "--bias", "-3"), conv2d(X, KERNEL, -3, dilation=(1, 2))),
        (("--operation", "convolution", "--padding", "full"), convolve(X, KERNEL)),
        (("--operation", "autocorrelation"), autocorrelate(X)),
        (("--transposed", "--stride", "2", "--output-padding", "1"), conv_transpose2d(X, KERNEL, stride=2,
                                                                                     output_padding=1)),
        (("--input", "-1 2 / 3 4", "--kernel", "-1"), [[1, -2], [-3, -4]]),
        (("1 2 3", "shift", "--padding", "same"), [[0, 1, 2]]),
    ],
)  # fmt: skip
def test_options_mean_what_the_library_means(capsys, words, expected):
    assert result(capsys, *words)["output"] == np.asarray(expected).tolist()


def test_json_holds_the_steps_when_asked(capsys):
    assert "steps" not in result(capsys)
    assert [step["output"] for step in result(capsys, "--step")["steps"]] == [12, 12, 17, 10, 17, 19, 9, 6, 14]


def test_input_from_files_and_output_to_files(capsys, tmp_path):
    (tmp_path / "x.csv").write_text("1,2\n3,4\n", encoding="utf-8")
    np.save(tmp_path / "x.npy", np.array([[1.5, 2]]))
    Image.fromarray(np.array([[0, 100], [200, 255]], np.uint8)).save(tmp_path / "x.png")
    assert result(capsys, str(tmp_path / "x.csv"), "1")["output"] == [[1, 2], [3, 4]]
    assert result(capsys, str(tmp_path / "x.npy"), "2")["output"] == [[3, 4]]
    assert result(capsys, str(tmp_path / "x.png"), "1")["output"] == [[0, 100], [200, 255]]
    for suffix in ("csv", "npy", "png"):
        target = tmp_path / f"y.{suffix}"
        code, _, err = run(capsys, str(tmp_path / "x.png"), "2", "--output", str(target))
        assert (code, err) == (0, f"wrote {target}\n")
    assert (tmp_path / "y.csv").read_text(encoding="utf-8") == "0,200\n400,510\n"
    assert np.load(tmp_path / "y.npy").tolist() == [[0, 200], [400, 510]]
    assert np.asarray(Image.open(tmp_path / "y.png")).tolist() == [[0, 200], [255, 255]]


def test_a_large_input_is_shown_around_the_window(capsys, tmp_path):
    Image.fromarray(np.arange(250 * 200).reshape(250, 200).astype(np.uint8)).save(tmp_path / "x.png")
    code, out, _ = run(capsys, str(tmp_path / "x.png"), "blur", "--at", "120,99")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert len(re.findall(r"\[ *\d+\]", out)) == 9
    assert re.search(r"rows 109–132 .*\ncolumns \d+–\d+", out)


@pytest.mark.parametrize("kind", ["gif", "svg", "html"])
def test_animate(capsys, tmp_path, kind):
    target = tmp_path / f"slide.{kind}"
    code, out, err = run(capsys, "--transposed", "--dilation", "2,1", "--animate", str(target))
    assert code == 0
    assert err == f"wrote {target}: 63 frames\n"
    assert "input 5×5, padded" in out
    assert target.stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--kernel sobl", "unknown kernel 'sobl'; did you mean sobel?"),
        ("--kernel no.csv", "kernel is 'no.csv', and there is no such file"),
        ("--input no.png", "input is 'no.png', and there is no such file"),
        ("--input a.pdf", "input is 'a.pdf'; use .csv, .tsv, .txt, .npy or an image"),
        ("--stride x", "stride is 'x'; use one number"),
        ("--stride 1,2,3", "stride is '1,2,3'; use one number"),
        ("--padding 1,2,3", "padding is '1,2,3'; use one number, rows,columns or top,bottom,left,right"),
        ("--padding sane", "unknown padding 'sane'; did you mean same?"),
        ("--at 9,9", "at is '9,9'; the output has rows 0 to 2 and columns 0 to 2"),
        ("--at 1", "at is '1'; use row,column"),
        ("--animate x.mp4", "animate is 'x.mp4'; its name must end in .gif, .svg, .html"),
        ("--output x.jpg", "output is 'x.jpg'; its name must end in .csv, .npy, .png"),
        ("--transposed --padding same", "padding is 'same'; a transposed convolution takes numbers"),
        ("--transposed --operation convolution", "operation is 'convolution', but --transposed is an operation"),
        ("--transposed --padding-mode reflect", "padding_mode is 'reflect'; a transposed convolution knows zeros"),
        ("--output-padding 1", "output_padding is '1', but only --transposed takes it"),
        ("--operation conv", "unknown operation 'conv'; valid: correlation, convolution, autocorrelation"),
        ("--operation autocorrelation --kernel blur", "an autocorrelation takes no kernel"),
        ("--input 1,2/3", "row 2 of the grid has 1 numbers"),
        ("--bias much", "--bias is 'much'; use a number"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(capsys, words, message):
    code, out, err = run(capsys, *words.split())
    assert (code, out) == (2, "")
    assert err.startswith(f"convlens: {message}")
    assert err.count("\n") == 1


def test_help_has_an_example_of_its_own(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert "Example: convlens convolve" in out
    assert "convlens demo" not in out
