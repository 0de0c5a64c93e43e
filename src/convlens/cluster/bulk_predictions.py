"""Predictions on a cluster: Ray Data reads and prepares on processors, and predicts on actors that hold the network.

The pieces that are not answered yet go in, and answers come out, each with its piece and its place in it; this machine
keeps each piece when it is complete. So a node may be lost at any moment: what it had is computed again elsewhere, an
answer that comes twice is kept once, and a piece is complete when all of it is there.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.cluster.joining import check_sees, imported, joined
from convlens.cluster.shipment import Shipment
from convlens.data.reaching import is_address
from convlens.images import Preprocessing
from convlens.predicting.bulk.answering import Progress, answer_into
from convlens.predicting.bulk.batches import in_batches
from convlens.predicting.bulk.opening_pieces import inputs_of
from convlens.predicting.bulk.pieces import Piece
from convlens.predicting.bulk.unfinished import Summary, Unfinished
from convlens.predicting.predictions import Prepared, answer_prepared, prepare_input
from convlens.predicting.settled import Settled

log = logging.getLogger("convlens")

_PROBED = 8  # of the files, on every node

Columns = dict[str, NDArray[Any]]
_END = ""  # stands for an answer in the row that ends a piece


def predict_on_ray(
    shipment: Shipment,
    sources: Sequence[str],
    out: str,
    *,
    address: str,
    asked: Mapping[str, Any],
    top: int = 5,
    batch: int = 32,
    on_progress: Progress | None = None,
) -> Summary:
    """Predict the classes of all images of some sources on a cluster, into one file of this machine.

    Args:
        shipment: the classifier.
        sources: as `predict_to_file` takes them; what is no address must lie under the same path on every node.
        out: the file; what an interrupted call left there, on this machine or on a cluster, is gone on with.
        address: of the cluster, as `joined` takes it.
        asked: what else the answers depend on.
        top: how many classes to give for each image.
        batch: how many images go through the network at a time.
        on_progress: called with how many images are done and how many there are, None where that is not known.

    Raises:
        ConvlensError: the cluster cannot be joined, or a node does not see the images.
    """

    with joined(address) as nodes:

        def answer(parts: Unfinished, progress: Progress) -> None:
            pieces = list(parts.remaining())
            progress(parts.done, parts.images)
            if not pieces:
                return
            check_sees(nodes, _some_files([piece for _, piece in pieces]), "the images")
            kept = _Pieces(parts)
            for columns in _answers(shipment, pieces, top=top, batch=batch):
                kept.take(columns)
                progress(parts.done + kept.answers, parts.images)
            log.info("%d answers came, %d of them more than once", kept.answers, kept.repeated)

        return answer_into(out, sources, answer, asked=asked, top=top, batch=batch, on_progress=on_progress)


def _answers(shipment: Shipment, pieces: Sequence[tuple[int, Piece]], *, top: int, batch: int) -> Iterator[Columns]:
    ray, preprocessing = imported(), shipment.preprocessing
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context.target_max_block_size = max(
        8_000_000, 2 * batch * 4 * preprocessing.channels * int(np.prod(preprocessing.size))
    )
    rows = [{"number": number, "piece": piece.to_line()} for number, piece in pieces]
    processors = [node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]]
    gpus = ray.cluster_resources().get("GPU", 0.0)
    reading, predicting, most = _resources(processors, gpus, shipment.device)
    answers = (
        ray.data.from_items(rows, override_num_blocks=len(rows))
        .map_batches(partial(_prepared, preprocessing, str(Path.cwd()), batch), batch_size=1, num_cpus=reading)
        .map_batches(
            _Predicting,
            fn_constructor_args=(ray.put(shipment), top, batch),
            batch_size=batch,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most),
            **predicting,
        )
    )
    yield from answers.iter_batches(batch_size=None, prefetch_batches=1)


def _resources(processors: Sequence[float], gpus: float, device: str) -> tuple[float, dict[str, Any], int]:
    """Processors of a reading task, what a predicting actor takes, and how many actors there may be.

    The smallest node alone has room for both: any other may be lost, and an actor that left no room for reading would
    wait for ever. They differ, because Ray would join the two steps otherwise.

    >>> _resources([4, 4], 0, "auto"), _resources([8], 2, "auto"), _resources([1, 1], 0, "auto")
    ((0.5, {'num_cpus': 1}, 6), (1, {'num_cpus': 0, 'num_gpus': 1}, 2), (0.25, {'num_cpus': 0.5}, 2))
    """
    if gpus >= 1 and device != "cpu":
        return 1, {"num_cpus": 0, "num_gpus": 1}, int(gpus)
    computing = [each for each in processors if each > 0] or [1.0]
    smallest = min(computing)
    if smallest >= 2:
        return 0.5, {"num_cpus": 1}, sum(int(each) - 1 for each in computing)
    return smallest / 4, {"num_cpus": smallest / 2}, len(computing)


def _prepared(preprocessing: Preprocessing, folder: str, batch: int, row: Columns) -> Iterator[Columns]:
    """The images of one piece, ready for the network, and a last row that ends it."""
    number, piece = int(row["number"][0]), Piece.from_line(str(row["piece"][0]))
    names = piece.names if piece.kind == "files" else ()
    if names:  # this process works in another folder
        absolute = tuple(name if is_address(name) else str(Path(folder) / name) for name in names)
        piece = replace(piece, names=absolute)
    empty = np.zeros((preprocessing.channels, *preprocessing.size), np.float32)
    total = 0
    for images in in_batches(inputs_of(piece), batch):
        given = [image.name for image in images]
        called = list(names[total : total + len(images)]) or given
        prepared = [prepare_input(preprocessing, image) for image in images]
        errors = [
            x.replace(there, name) if isinstance(x, str) else ""
            for x, there, name in zip(prepared, given, called, strict=True)
        ]
        yield {
            "number": np.full(len(images), number),
            "place": np.arange(total, total + len(images)),
            "name": np.array([json.dumps(name) for name in called], object),
            "error": np.array([json.dumps(error) for error in errors], object),
            "image": np.stack([empty if isinstance(x, str) else x for x in prepared]),
        }
        total += len(images)
    end = np.array([_END], object)
    yield {"number": np.array([number]), "place": np.array([total]), "name": end, "error": end, "image": empty[None]}


class _Predicting:
    """The network in an actor."""

    def __init__(self, shipment: Any, top: int, batch: int) -> None:
        ray = imported()
        shipment = ray.get(shipment) if isinstance(shipment, ray.ObjectRef) else shipment
        self._settled = Settled(shipment.predictor(threads=1, batch=batch))
        self._top = top

    def __call__(self, rows: Columns) -> Columns:
        names = [json.loads(name) if name else _END for name in rows["name"]]
        errors = [json.loads(error) if error else _END for error in rows["error"]]
        asked = [i for i, name in enumerate(names) if name]
        prepared: list[Prepared] = [errors[i] or np.asarray(rows["image"][i], np.float32) for i in asked]
        given = answer_prepared(self._settled, [names[i] for i in asked], prepared, self._top)
        texts = [_END] * len(names)
        for i, answer in zip(asked, given, strict=True):
            texts[i] = json.dumps(answer.to_dict())
        return {"number": rows["number"], "place": rows["place"], "answer": np.array(texts, object)}


class _Pieces:
    """Answers that have come, until their piece is complete.

    Attributes:
        answers: how many there are.
        repeated: how many came more than once.
    """

    def __init__(self, parts: Unfinished) -> None:
        self.answers = self.repeated = 0
        self._parts = parts
        self._begun: dict[int, dict[int, Mapping[str, Any]]] = {}
        self._sizes: dict[int, int] = {}
        self._complete: set[int] = set()

    def take(self, columns: Columns) -> None:
        """Add answers."""
        for number, place, answer in zip(
            columns["number"].tolist(), columns["place"].tolist(), columns["answer"].tolist(), strict=True
        ):
            if number in self._complete or place in self._begun.get(number, {}):
                self.repeated += 1
                continue
            there = self._begun.setdefault(number, {})
            if answer == _END:
                self._sizes[number] = place
            else:
                there[place] = json.loads(answer)
                self.answers += 1
            if len(there) == self._sizes.get(number):
                self._parts.write(number, [there[i] for i in range(len(there))])
                self._complete.add(number)
                del self._begun[number], self._sizes[number]


def _some_files(pieces: Sequence[Piece]) -> dict[str, int]:
    """A few of the local files that pieces are in, with their bytes."""
    names = [
        str(Path(piece.names[0] if piece.kind == "files" else piece.location).absolute())
        for piece in pieces
        if not is_address(piece.location or piece.names[0]) and piece.location != "digits"
    ]
    step = max(1, len(names) // _PROBED)
    return {name: Path(name).stat().st_size if Path(name).is_file() else 0 for name in names[::step]}
