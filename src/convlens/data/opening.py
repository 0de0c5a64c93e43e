"""From what a user names to a dataset: find the source, check, split, and say what was left out."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from convlens.data.dataset import SPLITS, BadFile, DataError, Dataset, Record
from convlens.data.exclusions import read_exclusions
from convlens.data.listing import Listing
from convlens.data.quick import quick_notes
from convlens.data.reading import find_bad
from convlens.data.sources import list_source
from convlens.data.splitting import Shares, split_by_key

_Splits = dict[str, tuple[Record, ...]]


def open_dataset(
    source: str | Path,
    *,
    max_bad: float = 0.05,
    check_files: bool = True,
    exclude: str | Path | None = None,
    classes: Sequence[str] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Open labelled images.

    Args:
        source: `"digits"`; a folder `train/<class>/…` (with `val` or `valid`, and `test`) or `<class>/…`; a .csv or
            .parquet table with the columns path, label and, if it divides them, split; a folder of MNIST's IDX files,
            of CIFAR, of tar shards or of Parquet files that hold images; or the http://, https:// or s3:// address of
            any of these.
        max_bad: share of files (0..1) that may be unreadable; above it nothing is opened.
        check_files: whether every image is decoded once, to find the unreadable ones and leave them out, and, for
            training, images that are the same in two splits or classes are noted.
        exclude: a file with one key a line, as `convlens check --write-list` writes it: these are left out.
        classes: of a network that is there already; names are matched, and neither a training split nor two classes
            are asked for. None takes the classes from the training split.
        on_progress: called with how many files are checked and how many there are.

    Raises:
        DataError: nothing there, a single class, or too many unreadable files.

    >>> open_dataset("digits").name
    'digits'
    """
    if not 0 <= max_bad <= 1:
        raise DataError(f"max_bad={max_bad}; give a share between 0 and 1, such as 0.05")
    listing = _without_excluded(list_source(source), exclude)
    records = [record for members in listing.splits.values() for record in members]
    unreadable = find_bad(listing.source, records, on_progress=on_progress) if check_files else ()
    _refuse_too_many_bad(listing, listing.bad + unreadable, max_bad)
    dataset = _dataset(listing, unreadable, for_training=classes is None)
    if check_files and classes is None:
        dataset = replace(dataset, notes=(*dataset.notes, *quick_notes(dataset)))
    return dataset if classes is None else dataset.matched_to(classes)


def _without_excluded(listing: Listing, exclude: str | Path | None) -> Listing:
    if exclude is None:
        return listing
    keys = read_exclusions(exclude)
    splits = {name: tuple(r for r in records if r.key not in keys) for name, records in listing.splits.items()}
    there = sum(map(len, listing.splits.values())) - sum(map(len, splits.values()))
    note = f"left out {there} of the {len(keys)} image(s) listed in {exclude}"
    return replace(listing, splits=splits, notes=(*listing.notes, note))


def _refuse_too_many_bad(listing: Listing, bad: tuple[BadFile, ...], max_bad: float) -> None:
    total = sum(map(len, listing.splits.values())) + len(listing.bad)
    if len(bad) > max_bad * total:
        raise DataError(
            f"{len(bad)} of {total} files of {listing.name} cannot be read, more than {100 * max_bad:g} %; the first: "
            f"{bad[0].key} ({bad[0].reason}); mend or remove them, or raise --max-bad"
        )


def _dataset(listing: Listing, unreadable: tuple[BadFile, ...], *, for_training: bool) -> Dataset:
    keys = {file.key for file in unreadable}
    good = {name: tuple(r for r in records if r.key not in keys) for name, records in listing.splits.items()}
    splits, notes = _with_all_splits({name: records for name, records in good.items() if records}, for_training)
    named_by = ("train",) if for_training else SPLITS
    classes = tuple(sorted({record.label for split in named_by for record in splits.get(split, ())}))
    if for_training:
        _refuse_single_class(listing.name, splits, classes)
        splits, said = _without_unseen(splits, classes)
        notes += [*said, *_emptied(listing, classes, keys)]
    return Dataset(
        name=listing.name,
        classes=classes,
        splits={name: splits[name] for name in SPLITS if name in splits},
        source=listing.source,
        channels=listing.channels,
        bad_files=listing.bad + unreadable,
        notes=(*listing.notes, *notes),
        mirrors=listing.mirrors,
        location=listing.location,
    )


def _with_all_splits(given: _Splits, for_training: bool) -> tuple[_Splits, list[str]]:
    """Divide what came without splits, and take validation from training where only that is missing."""
    if "" in given:
        splits, notes = split_by_key(given[""], Shares())
    elif for_training and "train" in given and "val" not in given:
        divided, notes = split_by_key(given["train"], Shares(test=0.0))
        splits = {**given, **divided}
    else:
        return given, []
    sizes = ", ".join(f"{len(splits[name])} {name}" for name in SPLITS if name in splits)
    return splits, [*notes, f"split automatically, by a hash of each name: {sizes}"]


def _refuse_single_class(name: str, splits: _Splits, classes: tuple[str, ...]) -> None:
    if "train" not in splits:
        raise DataError(
            f"{name} has no training split, only {', '.join(splits) or 'nothing'}; add train/<class>/<image>"
        )
    if len(classes) < 2:
        raise DataError(f"{name} has a single class to train on, {classes[0]!r}; give at least two")


def _without_unseen(splits: _Splits, classes: tuple[str, ...]) -> tuple[_Splits, list[str]]:
    """Say by name which classes a split lacks, and leave out those that training never sees."""
    kept, notes = {}, []
    for split, records in splits.items():
        count = Counter(record.label for record in records)
        for name in sorted(set(count) - set(classes)):
            notes.append(f"class {name!r} of {split} is not in train; its {count[name]} image(s) are left out")
        notes += [f"class {name!r} has no image in {split}" for name in classes if name not in count]
        kept[split] = tuple(record for record in records if record.label in classes)
    return {split: records for split, records in kept.items() if records}, notes


def _emptied(listing: Listing, classes: tuple[str, ...], unreadable: set[str]) -> list[str]:
    """Classes that are gone because no image of theirs can be read."""
    records = [record for members in listing.splits.values() for record in members]
    readable = {record.label for record in records if record.key not in unreadable}
    return [
        f"class {name!r} is left out: none of its images can be read"
        for name in sorted({record.label for record in records} - readable - set(classes))
    ]
