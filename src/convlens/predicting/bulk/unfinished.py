"""Answers that are not all there yet: a folder beside the file that they will make, from which a restart goes on.

It holds `asked.json` (which network, on what), `pieces.jsonl` (the list that was made at the start, a piece a line)
and the answers of each finished piece, such as `0000017.jsonl`. Each is written whole or not at all, and one process at
a time holds the folder; so every image is answered exactly once, whatever is killed when.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from convlens.errors import ConvlensError
from convlens.files import replacing, write_json, write_text
from convlens.predicting.bulk.answer_files import Answer, read_answers, writer_for
from convlens.predicting.bulk.pieces import Piece

_ASKED, _PIECES = "asked.json", "pieces.jsonl"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What was written: the file, how many images it answers for, and how many of these have an error instead."""

    path: Path
    images: int
    errors: int


class Unfinished:
    """The answers so far. Made by `unfinished`.

    Attributes:
        images: how many there are, or None where only reading them tells.
        done: how many of them are answered.
        pieces: how many pieces there are.
    """

    def __init__(self, folder: Path, out: Path) -> None:
        self.folder, self.out = folder, out
        self._finished = {int(path.stem) for path in folder.glob("[0-9]*.jsonl")}
        counts = [(number in self._finished, piece.count) for number, piece in self._all()]
        known = [count for _, count in counts if count is not None]
        self.pieces = len(counts)
        self.images = sum(known) if len(known) == len(counts) else None
        self.done = sum(count or 0 for finished, count in counts if finished)

    def remaining(self) -> Iterator[tuple[int, Piece]]:
        """The pieces that are not answered, with their numbers."""
        return ((number, piece) for number, piece in self._all() if number not in self._finished)

    def write(self, number: int, answers: Sequence[Answer]) -> None:
        """Keep the answers of a piece."""
        write_text(self._part(number), "".join(f"{json.dumps(answer)}\n" for answer in answers))
        self._finished.add(number)

    def finish(self) -> Summary:
        """Make one file of all answers, in the order of the pieces, and remove the folder."""
        parts = [self._part(number) for number in range(self.pieces)]
        errors, images = 0, 0
        for answer in read_answers(parts):
            images += 1
            errors += "error" in answer
        with replacing(self.out) as temporary:
            writer_for(self.out)(parts, temporary)
        return Summary(path=self.out, images=images, errors=errors)

    def _part(self, number: int) -> Path:
        return self.folder / f"{number:07d}.jsonl"

    def _all(self) -> Iterator[tuple[int, Piece]]:
        with (self.folder / _PIECES).open(encoding="utf-8") as lines:
            yield from ((number, Piece.from_line(line)) for number, line in enumerate(lines))


@contextmanager
def unfinished(out: Path, asked: Mapping[str, Any], list_them: Callable[[], Iterable[Piece]]) -> Iterator[Unfinished]:
    """Begin, or go on with, the answers that `out` will hold; the folder is removed once that file is there.

    Args:
        out: the file to make: .parquet, .csv or .jsonl.
        asked: what the answers depend on, as plain values; a restart must ask the same.
        list_them: lists the pieces; called at the start only.

    Raises:
        ConvlensError: the file is there already, is being made by another process, or what is there so far answers
            another question.
    """
    writer_for(out)
    folder = out.with_name(f"{out.name}.parts")
    if out.exists() and not folder.exists():
        raise ConvlensError(f"{out} is there already; remove it, or choose another file")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ConvlensError(f"{out} is being made by another process; wait for it, or stop it") from None
    try:
        try:
            _begin(folder, asked, list_them)
        except BaseException:
            if not (folder / _ASKED).exists():
                shutil.rmtree(folder)  # nothing was begun
            raise
        yield Unfinished(folder, out)
        shutil.rmtree(folder)
    finally:
        lock.release()


def _begin(folder: Path, asked: Mapping[str, Any], list_them: Callable[[], Iterable[Piece]]) -> None:
    there = folder / _ASKED
    if there.exists():
        before = json.loads(there.read_text(encoding="utf-8"))
        differing = sorted(name for name in {*before, *asked} if before.get(name) != asked.get(name))
        if differing:
            raise ConvlensError(
                f"{folder} holds answers to another question ({', '.join(differing)} differ); remove it, or choose "
                "another file"
            )
        return
    nothing = True
    with replacing(folder / _PIECES) as temporary, temporary.open("w", encoding="utf-8") as lines:
        for piece in list_them():
            nothing = False
            lines.write(f"{piece.to_line()}\n")
        if nothing:
            raise ConvlensError("there are no images in what was named; give a folder, a .tar or a .parquet with some")
    write_json(there, asked)  # last: without it nothing was begun
