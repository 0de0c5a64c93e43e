import os

import numpy as np
import pytest
from PIL import Image

from convlens import predicting
from convlens.errors import ConvlensError
from convlens.images import Preprocessing


class Brightness:
    """Says white of a bright image and black of a dark one; only the gray ones make it doubt."""

    classes = ("black", "white")
    preprocessing = Preprocessing(size=(4, 4), resize=(4, 4), mean=(0.0,), std=(1.0,), channels=1)

    def probabilities(self, x_NCHW):
        white = x_NCHW.mean(axis=(1, 2, 3))
        return np.stack([1 - white, white], axis=1).astype(np.float32)


@pytest.fixture
def photos(tmp_path):
    for name, value in [("a.png", 0), ("b.JPG", 255), ("sub/c.png", 255)]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (8, 8), value).save(tmp_path / name)
    return tmp_path


def likeliest(answers):
    return [answer.classes[0].label if answer.classes else None for answer in answers]


def test_files_folders_and_patterns(photos):
    files = predicting.predict_files(Brightness(), [photos / "a.png"])
    folder = predicting.predict_files(Brightness(), [photos])
    pattern = predicting.predict_files(Brightness(), [photos / "*.png", str(photos / "**/*.png")])
    assert likeliest(files) == ["black"]
    assert likeliest(folder) == ["black", "white", "white"]
    assert [answer.file for answer in pattern] == [str(photos / "a.png"), str(photos / "sub/c.png")]


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_one_bad_file_gives_an_error_and_the_others_are_answered(photos, batch):
    (photos / "broken.jpg").write_text("no image")
    paths = [photos / "a.png", photos / "broken.jpg", photos / "none.png", photos / "b.JPG"]
    answers = predicting.predict_files(Brightness(), paths, batch=batch)
    assert likeliest(answers) == ["black", None, None, "white"]
    assert answers[1].error is not None
    assert "text file" in answers[1].error
    assert answers[2].to_dict() == {"file": str(photos / "none.png"), "error": f"no such file: {photos / 'none.png'}"}


def test_the_dictionary_is_the_documented_one(photos):
    answer = predicting.predict_files(Brightness(), [photos / "a.png"], top=1)[0]
    assert answer.to_dict() == {
        "file": str(photos / "a.png"),
        "classes": [{"label": "black", "probability": 1.0}],
    }


def test_progress_ends_at_all_files(photos):
    seen = []
    predicting.predict_files(Brightness(), [photos], batch=2, on_progress=lambda done, of: seen.append((done, of)))
    assert seen == [(2, 3), (3, 3)]


def test_ties_keep_the_order_of_the_classes():
    guesses = predicting.rank(np.array([0.25, 0.5, 0.25], np.float32), ("a", "b", "c"), 3)
    assert [guess.label for guess in guesses] == ["b", "a", "c"]


def test_nothing_to_predict_is_said(tmp_path):
    with pytest.raises(ConvlensError, match="no images in"):
        predicting.predict_files(Brightness(), [tmp_path])
    with pytest.raises(ConvlensError, match="no images to predict"):
        predicting.predict_files(Brightness(), [])
    with pytest.raises(ConvlensError, match="top is 0"):
        predicting.predict(Brightness(), [], top=0)


def test_a_pattern_finds_the_images_below_folders(photos):
    answers = predicting.predict_files(Brightness(), [photos / "*"])
    assert [answer.file for answer in answers] == [str(photos / name) for name in ("a.png", "b.JPG", "sub/c.png")]


def test_a_folder_without_images_is_an_error_row_beside_others_and_an_error_alone(photos):
    (photos / "empty").mkdir()
    answers = predicting.predict_files(Brightness(), [photos / "empty", photos / "a.png"])
    assert likeliest(answers) == [None, "black"]
    assert answers[0].error == f"no images in {photos / 'empty'}"
    with pytest.raises(ConvlensError, match=r"no images in .*empty"):
        predicting.predict_files(Brightness(), [photos / "empty"])


def test_pipes_and_folders_named_like_images_are_passed_over_and_links_to_nowhere_told(photos):
    os.mkfifo(photos / "sub" / "pipe.png")
    (photos / "sub" / "folder.png").mkdir()
    (photos / "sub" / "link.png").symlink_to("nowhere.png")
    answers = predicting.predict_files(Brightness(), [photos / "sub"])
    assert [(answer.file, answer.error is None) for answer in answers] == [
        (str(photos / "sub" / "c.png"), True),
        (str(photos / "sub" / "link.png"), False),
    ]
