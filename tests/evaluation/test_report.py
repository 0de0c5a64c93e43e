from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from convlens import data, evaluation
from convlens.errors import ConvlensError
from convlens.evaluation.figures import Bars, Curves, Matrix, save_png
from convlens.evaluation.report_page import Section, confusion_figure, evaluation_sections, thumbnail, write_report

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


def test_long_names_of_classes_fit_and_stay_apart(tmp_path):
    names = [
        "a bird with a name that nobody can remember, seen in the year " + year for year in ("1901", "1902", "1902b")
    ]
    names.append(names[0].replace("nobody", "no one"))
    matrix = Matrix(name="confusion", title="Confusion", labels=names, counts=np.eye(4, dtype=int).tolist())
    shown = matrix.plotly()["data"][0]["x"]
    assert len(set(shown)) == 4
    assert max(map(len, shown)) <= 28
    with Image.open(save_png(matrix, tmp_path / "confusion.png")) as picture:
        dark = np.asarray(picture.convert("L")) < 250
    assert dark[:, 250:500].any(axis=0).mean() > 0.9  # the matrix has kept its room


def test_bars_say_how_many_images_they_are_made_of(tmp_path):
    bars = Bars(name="b", title="B", x_label="x", y_label="y", labels=["a", "b"], values=[None, 0.5], counts=[0, 1234])
    assert bars.plotly()["data"][0]["text"] == ["", "1,234"]
    assert save_png(bars, tmp_path / "b.png").exists()


def test_the_report_on_many_classes_is_small_and_shows_what_is_mixed_up_most(tmp_path):
    digits = data.open_dataset("digits")
    records = [replace(record, label=f"class {i % 1500}") for i, record in enumerate(digits.records("all"))]
    birds = replace(digits, classes=tuple(f"class {i}" for i in range(1500)), splits={"test": tuple(records)})
    p = np.full((len(records), 1500), 1e-6, np.float32)
    p[np.arange(len(records)), (np.arange(len(records)) + 1) % 1500] = 1
    done = evaluation.summarise(birds, "test", p)
    write_report(tmp_path / "report.html", "birds", evaluation_sections(done, birds))
    empty = tmp_path / "empty.html"
    write_report(empty, "none", [])
    assert (tmp_path / "report.html").stat().st_size - empty.stat().st_size < 300_000
    assert len(confusion_figure(done).labels) == 40


def test_class_names_are_shown_as_they_are_whatever_their_script(tmp_path):
    matrix = Matrix(name="confusion", title="Confusion", labels=["&amp;<b>", "猫"], counts=[[3, 1], [0, 2]])
    assert matrix.plotly()["data"][0]["x"] == ["&amp;amp;&lt;b&gt;", "猫"]
    assert save_png(
        matrix, tmp_path / "confusion.png"
    ).exists()  # a warning about what the font lacks would be an error here


def test_there_is_no_epoch_one_and_a_half():
    assert CURVES.plotly()["layout"]["xaxis"]["dtick"] == 1
