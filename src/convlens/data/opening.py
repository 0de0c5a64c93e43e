"""From what a user names to a dataset: find the source, split, check, and say what was left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from convlens.data.dataset import BadFile, DataError, Dataset, ImageSource, Record
from convlens.data.digits import open_digits
from convlens.data.folder import FileSource, find_images
from convlens.data.reading import find_bad
from convlens.data.splitting import Shares, split_by_key


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a source says before anything is checked; the split `""` is to be divided."""

    name: str
    splits: Mapping[str, tuple[Record, ...]]
    source: ImageSource
    channels: int = 3
    notes: tuple[str, ...] = ()
    mirrors: bool = True


def open_dataset(source: str | Path, *, max_bad: float = 0.05, check_files: bool = True) -> Dataset:
    """Open labelled images.

    Args:
        source: `"digits"`, or a folder `train/<class>/…` (with `val` or `valid`, and `test`) or `<class>/…`.
        max_bad: share of files (0..1) that may be unreadable; above it nothing is opened.
        check_files: whether every image is decoded once, to find the unreadable ones and leave them out.

    Raises:
        DataError: nothing there, a single class, or too many unreadable files.

    >>> open_dataset("digits").name
    'digits'
    """
    if not 0 <= max_bad <= 1:
        raise DataError(f"max_bad={max_bad}; give a share between 0 and 1, such as 0.05")
    if str(source) == "digits":
        return open_digits()
    listing = _list_folder(Path(source))
    bad = find_bad(listing.source, [r for records in listing.splits.values() for r in records]) if check_files else ()
    return _finish(listing, bad, max_bad)


def _list_folder(root: Path) -> Listing:
    found = find_images(root)
    return Listing(
        name=root.resolve().name,
        splits={split: tuple(records) for split, records in found.splits.items() if records},
        source=FileSource(),
        notes=tuple(found.notes()),
    )


def _finish(listing: Listing, bad: tuple[BadFile, ...], max_bad: float) -> Dataset:
    notes = list(listing.notes)
    total = sum(map(len, listing.splits.values()))
    if len(bad) > max_bad * total:
        raise DataError(
            f"{len(bad)} of {total} files of {listing.name} cannot be read, more than {max_bad:.0%}; the first: "
            f"{bad[0].key} ({bad[0].reason}); mend or remove them, or raise --max-bad"
        )
    unreadable = {file.key for file in bad}
    good = {name: tuple(r for r in rs if r.key not in unreadable) for name, rs in listing.splits.items()}
    splits = _with_all_splits({name: records for name, records in good.items() if records}, notes)
    classes = tuple(sorted({record.label for record in splits.get("train", ())}))
    if len(classes) < 2:
        raise DataError(f"{listing.name} has {len(classes)} class(es) to train on{_named(classes)}; give at least two")
    return Dataset(
        name=listing.name,
        classes=classes,
        splits=_without_unseen(splits, classes, notes),
        source=listing.source,
        channels=listing.channels,
        bad_files=bad,
        notes=tuple(notes),
        mirrors=listing.mirrors,
    )


def _with_all_splits(given: dict[str, tuple[Record, ...]], notes: list[str]) -> dict[str, tuple[Record, ...]]:
    """Divide what came without splits, and take validation from training where only that is missing."""
    if "" in given:
        splits, said = split_by_key(given[""], Shares())
    elif "val" not in given and "train" in given:
        divided, said = split_by_key(given["train"], Shares(val=0.1, test=0.0))
        splits = {**given, **divided}
    else:
        return given
    sizes = ", ".join(f"{len(splits[name])} {name}" for name in ("train", "val", "test") if name in splits)
    notes += [*said, f"split automatically, by a hash of each name: {sizes}"]
    return splits


def _without_unseen(
    splits: dict[str, tuple[Record, ...]], classes: tuple[str, ...], notes: list[str]
) -> dict[str, tuple[Record, ...]]:
    """Say by name which classes a split lacks, and leave out those that training never sees."""
    kept = {}
    for split, records in splits.items():
        there = {record.label for record in records}
        for name in sorted(there - set(classes)):
            count = sum(record.label == name for record in records)
            notes.append(f"class {name!r} of {split} is not in train; its {count} image(s) are left out")
        notes += [f"class {name!r} has no image in {split}" for name in classes if name not in there]
        kept[split] = tuple(record for record in records if record.label in classes)
    return {split: records for split, records in kept.items() if records}


def _named(classes: tuple[str, ...]) -> str:
    return f" ({', '.join(classes)})" if classes else ""
