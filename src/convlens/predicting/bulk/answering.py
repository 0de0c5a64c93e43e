"""Answers for as many images as there are: read ahead, predicted in batches, and kept piece by piece."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from convlens.data.parallel import in_order
from convlens.data.reaching import is_address
from convlens.errors import ConvlensError
from convlens.images import Preprocessing
from convlens.predicting.bulk.batches import in_batches
from convlens.predicting.bulk.opening_pieces import inputs_of
from convlens.predicting.bulk.pieces import Piece, list_pieces
from convlens.predicting.bulk.unfinished import Summary, Unfinished, unfinished
from convlens.predicting.prediction_inputs import Input
from convlens.predicting.predictions import Prepared, answer_prepared, prepare_input
from convlens.predicting.protocol import Answering
from convlens.predicting.settled import Settled

_READERS = 16  # threads behind an address, where they mostly wait

Progress = Callable[[int, int | None], None]
Answers = Callable[[Unfinished, Progress], None]


def predict_to_file(
    predictor: Answering,
    sources: Sequence[str],
    out: str | Path,
    *,
    asked: Mapping[str, Any],
    top: int = 5,
    batch: int = 32,
    on_progress: Progress | None = None,
) -> Summary:
    """Predict the classes of all images of some sources, into one file.

    An image that cannot be read has an error instead of classes. The memory needed depends on `batch` and on the size
    of the images, and not on how many there are. Where it is interrupted, however that happens, the same call goes on.

    Args:
        predictor: what runs the network.
        sources: what `list_pieces` takes.
        out: the file, .parquet, .csv or .jsonl. Until it is complete, `<out>.parts` holds what is answered.
        asked: what else the answers depend on, such as the network's fingerprint; a restart must have the same.
        top: how many classes to give for each image.
        batch: how many images go through the network at a time.
        on_progress: called with how many images are done and how many there are, None where that is not known.

    Raises:
        ConvlensError: there is nothing to predict, or the file cannot be made.
    """
    remote = any(map(is_address, sources))

    def answer(parts: Unfinished, progress: Progress) -> None:
        _answer_pieces(predictor, parts, top=top, batch=batch, remote=remote, progress=progress)

    return answer_into(out, sources, answer, asked=asked, top=top, batch=batch, on_progress=on_progress)


def answer_into(
    out: str | Path,
    sources: Sequence[str],
    answer: Answers,
    *,
    asked: Mapping[str, Any],
    top: int,
    batch: int,
    on_progress: Progress | None = None,
) -> Summary:
    """The frame of `predict_to_file` for whatever answers the pieces, here or on other machines."""
    for name, value in (("top", top), ("batch", batch)):
        if value < 1:
            raise ConvlensError(f"{name} is {value}; use at least 1")
    if not sources:
        raise ConvlensError("no images to predict; give folders, files or addresses")
    if is_address(out):
        raise ConvlensError(f"{out} is an address, and answers are written to a file of this machine; copy it there")
    asked = {**asked, "sources": [_absolute(source) for source in sources], "top": top}
    with unfinished(Path(out), asked, lambda: list_pieces(sources)) as parts:
        answer(parts, on_progress or (lambda _done, _total: None))
        return parts.finish()


def _absolute(source: str) -> str:
    return source if is_address(source) or source == "digits" else str(Path(source).absolute())


def _answer_pieces(
    predictor: Answering, parts: Unfinished, *, top: int, batch: int, remote: bool, progress: Progress
) -> None:
    settled, done, answers = Settled(predictor), parts.done, list[Mapping[str, Any]]()
    progress(done, parts.images)
    ready = in_order(
        partial(_prepare, predictor.preprocessing),
        _opened(parts.remaining()),
        workers=_READERS if remote else None,
        ahead=batch + _READERS,
        name="convlens-predict",
    )
    for chunk in in_batches(ready, batch):
        images = [(name, x) for _, name, x in chunk if name is not None]
        answered = iter(answer_prepared(settled, [name for name, _ in images], [x for _, x in images], top))
        for number, name, _ in chunk:
            if name is not None:
                answers.append(next(answered).to_dict())
            else:  # the end of a piece
                parts.write(number, answers)
                answers = []
        done += len(images)
        progress(done, parts.images)


def _opened(pieces: Iterable[tuple[int, Piece]]) -> Iterator[tuple[int, Input | None]]:
    """The images of all pieces, each with its piece's number, and None at the end of each piece."""
    for number, piece in pieces:
        yield from ((number, one) for one in inputs_of(piece))
        yield number, None


def _prepare(preprocessing: Preprocessing, one: tuple[int, Input | None]) -> tuple[int, str | None, Prepared]:
    number, image = one
    if image is None:
        return number, None, ""
    return number, image.name, prepare_input(preprocessing, image)
