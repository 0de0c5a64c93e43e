from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from convlens import data, evaluation
from convlens.errors import ConvlensError
from convlens.evaluation.figures import Bars, Curves, Matrix, save_png
from convlens.evaluation.report import Section, evaluation_sections, thumbnail, write_report

HOSTILE = "</script><script>alert(1)</script>"

CURVES = Curves(name="loss", title="Loss", x_label="x", y_label="y", x=[1, 2], series={"a": [1.0, None], "b": [2, 3]})
MATRIX = Matrix(name="confusion", title="Confusion", labels=[HOSTILE, "b"], counts=[[3, 1], [0, 0]])
BARS = Bars(name="bars", title="Bars", x_label="x", y_label="y", labels=["a", "b"], values=[None, 0.5], line=[0.1, 0.9])


@pytest.mark.parametrize("drawing", [CURVES, MATRIX, BARS], ids=lambda drawing: drawing.name)
def test_a_figure_is_drawn_twice(drawing, tmp_path):
    path = save_png(drawing, tmp_path / "pictures" / "drawn.png")
    with Image.open(path) as picture:
        assert picture.size == (768, 576)
        assert len(np.unique(np.asarray(picture.convert("L")))) > 10
    assert drawing.plotly()["layout"]["title"]["text"] == drawing.title


def test_a_figure_is_a_png_file_and_no_folder(tmp_path):
    assert save_png(CURVES, tmp_path / "Loss.PNG").is_file()
    with pytest.raises(ConvlensError, match=r"the figure is '.*loss\.jpg'; give a file name that ends in \.png"):
        save_png(CURVES, tmp_path / "loss.jpg")
    assert [path.name for path in tmp_path.iterdir()] == ["Loss.PNG"]


def test_names_of_classes_cannot_break_out_of_the_page(tmp_path):
    write_report(tmp_path / "report.html", HOSTILE, [Section(title=HOSTILE, drawings=[MATRIX], notes=[HOSTILE])])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "alert(1)" in page
    assert "<script>alert(1)" not in page
    assert (tmp_path / "figures" / "confusion.png").exists()


def test_the_page_loads_nothing_from_elsewhere(tmp_path):
    write_report(tmp_path / "report.html", "title", [Section(title="figure", drawings=[CURVES])])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'src="http' not in page
    assert "<link" not in page


def test_thumbnails_of_small_images_keep_their_pixels_and_large_ones_shrink():
    for side in (8, 500):
        source = thumbnail(np.zeros((side, side // 2, 1), np.uint8))
        with Image.open(BytesIO(__import__("base64").b64decode(source.split(",")[1]))) as picture:
            assert picture.size == (48, 96)


def test_an_evaluation_becomes_sections_with_thumbnails_of_its_mistakes():
    digits = data.open_dataset("digits")
    p = np.full((len(digits.records("test")), 10), 0.1, np.float32)
    p[:, 3] += 0.1
    done = evaluation.summarise(digits, "test", p / p.sum(axis=1, keepdims=True))
    sections = {section.title: section for section in evaluation_sections(done, digits)}
    assert len(sections["The mistakes it is surest of"].thumbnails) == 24
    assert len(sections["Class by class"].rows) == 10
    assert sections["Class by class"].rows[0][1] == "unknown"


def test_class_names_are_shown_as_they_are_whatever_their_script(tmp_path):
    matrix = Matrix(name="confusion", title="Confusion", labels=["&amp;<b>", "猫"], counts=[[3, 1], [0, 2]])
    assert matrix.plotly()["data"][0]["x"] == ["&amp;amp;&lt;b&gt;", "猫"]
    assert save_png(
        matrix, tmp_path / "confusion.png"
    ).exists()  # a warning about what the font lacks would be an error here


def test_there_is_no_epoch_one_and_a_half():
    assert CURVES.plotly()["layout"]["xaxis"]["dtick"] == 1
