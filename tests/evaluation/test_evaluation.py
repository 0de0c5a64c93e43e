import json
from dataclasses import replace

import numpy as np
import pytest

from convlens import data, evaluation
from convlens.commands.evaluate import _show
from convlens.errors import ConvlensError
from convlens.evaluation.report_page import evaluation_sections
from convlens.images import Preprocessing

PREPROCESSING = Preprocessing(size=(8, 8), resize=(8, 8), mean=(0.0,), std=(1.0,), channels=1)


class NearestMean:
    """The class whose mean training digit is nearest: no network, but right more often than not."""

    preprocessing = PREPROCESSING

    def __init__(self, dataset, classes):
        self.classes = tuple(classes)
        images = {label: [] for label in classes}
        for record in dataset.records("train"):
            if record.label in images:
                images[record.label].append(PREPROCESSING.apply(dataset.read(record)))
        self.means = np.stack([np.mean(images[label], axis=0).ravel() for label in classes])

    def probabilities(self, x_NCHW):
        distances = ((x_NCHW.reshape(len(x_NCHW), 1, -1) - self.means) ** 2).sum(axis=2)
        likelihood = np.exp(-distances)
        return (likelihood / likelihood.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def digits():
    return data.open_dataset("digits")


def test_figures_belong_together(digits):
    done = evaluation.evaluate(NearestMean(digits, digits.classes), digits)
    assert (done.split, done.images) == ("test", len(digits.records("test")))
    assert 0.8 < done.top1_low < done.top1 < done.top1_high < 1
    assert done.top1 <= done.top5 <= 1
    assert np.trace(done.confusion) == round(done.top1 * done.images)
    assert len(done.mistakes) == done.images - np.trace(done.confusion)
    assert [m.probability for m in done.mistakes] == sorted((m.probability for m in done.mistakes), reverse=True)
    assert all(m.label != m.predicted for m in done.mistakes)


def test_classes_are_matched_by_name_never_by_position(digits):
    forward = evaluation.evaluate(NearestMean(digits, digits.classes), digits)
    backward = evaluation.evaluate(NearestMean(digits, digits.classes[::-1]), digits)
    assert backward.classes == forward.classes[::-1]
    assert backward.top1 == forward.top1
    assert np.array_equal(np.array(backward.confusion), np.array(forward.confusion)[::-1, ::-1])


def test_images_of_unknown_classes_are_left_out_and_said(digits):
    done = evaluation.evaluate(NearestMean(digits, "012"), digits)
    assert done.images == sum(digits.counts("test")[label] for label in "012")
    assert any("'7' is unknown to the network" in note for note in done.notes)


def test_no_common_class_is_an_error(digits):
    cats = NearestMean(digits, "012")
    cats.classes = ("cat", "dog", "owl")
    with pytest.raises(ConvlensError, match="none in common"):
        evaluation.evaluate(cats, digits)


def test_the_batch_changes_nothing_and_progress_ends_at_all_images(digits):
    predictor = NearestMean(digits, digits.classes)
    seen = []
    whole = evaluation.evaluate(predictor, digits, "val", batch=1000)
    parts = evaluation.evaluate(predictor, digits, "val", batch=7, on_progress=lambda done, of: seen.append((done, of)))
    assert replace(parts, mistakes=()).to_dict() == replace(whole, mistakes=()).to_dict()
    assert seen[-1] == (whole.images, whole.images)


def many_classes(count, images):
    """A data set of so many classes with long names, and probabilities that are mostly right."""
    classes = tuple(
        f"a bird with a name that nobody can remember, seen in the year {number:04d}" for number in range(count)
    )
    records = tuple(data.Record(key=f"{i:06d}.png", label=classes[i % count], path="") for i in range(images))
    dataset = replace(data.open_dataset("digits"), name="birds", classes=classes, splits={"test": records})
    generator = np.random.default_rng(0)
    p = np.full((images, count), 1e-6, np.float32)
    said = (np.arange(images) + (generator.random(images) < 0.2)) % count
    said[np.arange(images) % count == 1] = 0  # one class is always taken for another
    p[np.arange(images), said] = 1
    return dataset, p / p.sum(axis=1, keepdims=True)


def test_json_of_many_classes_stays_small_and_names_what_is_mixed_up_most():
    dataset, p = many_classes(1500, 6000)
    done = evaluation.summarise(dataset, "test", p)
    text = json.dumps(done.to_dict(), indent=2)
    assert len(text) < 2_000_000
    content = json.loads(text)
    assert content["confusion"] is None
    counts = [pair["images"] for pair in content["confused"]]
    assert counts == sorted(counts, reverse=True)
    assert content["confused"][0] == {"label": done.classes[1], "predicted": done.classes[0], "images": 4}
    assert sum(pair.images for pair in done.confused()) == len(done.mistakes)


def test_the_worst_classes_come_first():
    dataset, p = many_classes(50, 1000)
    worst = evaluation.summarise(dataset, "test", p).worst_classes()
    assert [row.f1 for row in worst] == sorted(row.f1 for row in worst)


@pytest.mark.parametrize(("count", "said"), [(2, False), (5, False), (6, True)])
def test_top_five_is_left_out_where_it_says_nothing(count, said, capsys):
    dataset, p = many_classes(count, 60)
    p[::7] = p[::7, ::-1]
    done = replace(evaluation.summarise(dataset, "test", p), mistakes=())
    assert (done.top5 is not None) == said
    assert any(name == "top 5" for name, _ in evaluation_sections(done, data.open_dataset("digits"))[0].facts) == said
    _show(done)
    assert ("top 5" in capsys.readouterr().out) == said


def test_an_accuracy_is_compared_with_that_of_the_commonest_class(digits):
    counts = digits.counts("test")
    y = digits.labels("test")
    p = np.zeros((len(y), 10), np.float32)
    p[:, 3] = 1
    always = evaluation.summarise(digits, "test", p)
    assert always.is_guessing
    assert always.guessing == max(counts.values()) / len(y)
    p[:] = 0
    p[np.arange(len(y)), y] = 1
    assert not evaluation.summarise(digits, "test", p).is_guessing


def test_probabilities_that_are_no_numbers_are_named_and_no_figure_is_made_of_them(digits):
    p = np.full((len(digits.records("test")), 10), 0.1, np.float32)
    p[5, 3] = np.nan
    with pytest.raises(ConvlensError, match=rf"no numbers for 1 of {len(p)} images, first .*weights are damaged"):
        evaluation.summarise(digits, "test", p)


def test_a_note_is_said_once(digits):
    twice = digits.matched_to([*digits.classes, "ten"]).matched_to([*digits.classes, "ten"])
    assert sum("'ten'" in note for note in twice.notes) == 1


def test_a_misspelt_split_is_answered_with_the_nearest(digits):
    with pytest.raises(ConvlensError, match="did you mean test"):
        evaluation.evaluate(NearestMean(digits, digits.classes), digits, "tset")
