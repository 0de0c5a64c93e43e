"""From what a user names to a dataset: find the source, split, check, and say what was left out."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

from convlens.data.class_labels import writable
from convlens.data.dataset import SPLITS, BadFile, DataError, Dataset, Fault
from convlens.data.exclusions import read_exclusions
from convlens.data.image_table import Columns
from convlens.data.listing import Listing
from convlens.data.quick import quick_notes
from convlens.data.similar_names import look_alike_names
from convlens.data.sources import list_source
from convlens.data.splitting import Shares, split_by_key
from convlens.data.unreadable_images import find_bad


def open_dataset(
    source: str | Path,
    *,
    max_bad: float = 0.05,
    check_files: bool = True,
    exclude: str | Path | None = None,
    columns: str | None = None,
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
        columns: of a table, the names of its columns of paths, labels and, if there is one, splits, such as
            `"image_id,label"`; None takes the usual names.
        classes: of a network that is there already; names are matched, and neither a training split nor two classes
            are asked for. None takes the classes from the training split.
        on_progress: called with how many files are checked and how many there are.

    Raises:
        DataError: nothing there, a single class, a class that would be lost, or too many unreadable files.

    >>> open_dataset("digits").name
    'digits'
    """
    if not 0 <= max_bad <= 1:
        raise DataError(f"max_bad={max_bad}; give a share between 0 and 1, such as 0.05")
    listing = _listed(source, exclude, columns, for_training=classes is None)
    _refuse_fatal(listing.faults)
    records = [record for members in listing.splits.values() for record in members]
    if not records:
        why = f"; the first: {listing.bad[0].key} {listing.bad[0].reason}" if listing.bad else ""
        raise DataError(f"{listing.name} has no image that can be used{why}")
    records.sort(key=lambda record: record.key)
    unreadable = find_bad(listing.source, records, on_progress=on_progress) if check_files else ()
    _refuse_too_many_bad(listing, listing.bad + unreadable, max_bad)
    dataset = _dataset(listing, unreadable)
    if classes is not None:
        return dataset.matched_to(classes)
    dataset = _for_training(dataset, listing, unreadable)
    return replace(dataset, notes=(*dataset.notes, *quick_notes(dataset))) if check_files else dataset


def survey(source: str | Path, *, exclude: str | Path | None = None, columns: str | None = None) -> Dataset:
    """Open labelled images to look at them: every class of every split is there, and what would stop a training or
    lose images to it is in `faults`.

    Raises:
        DataError: there is nothing to look at.
    """
    listing = _listed(source, exclude, columns, for_training=True)
    dataset = _dataset(listing, ())
    return replace(dataset, faults=(*dataset.faults, *_faults_of_classes(dataset)))


def _listed(source: str | Path, exclude: str | Path | None, columns: str | None, *, for_training: bool) -> Listing:
    """List a source and divide it; by its names alone, so that what is left out moves nothing to another split."""
    listing = _written(list_source(source, Columns.named(columns)))
    listing = _divided(listing, for_training)
    return _without_excluded(listing, exclude)


def _written(listing: Listing) -> Listing:
    """Give classes names that can be written, whatever the folder, the table or the label holds."""
    names = {record.label for records in listing.splits.values() for record in records}
    changed = {name: new for name in names if (new := writable(name)) != name}
    if not changed:
        return listing
    splits = {
        split: tuple(replace(r, label=changed.get(r.label, r.label)) for r in records)
        for split, records in listing.splits.items()
    }
    return replace(listing, splits=splits)


def _divided(listing: Listing, for_training: bool) -> Listing:
    """Divide what came without splits, and take validation from training where only that is missing."""
    given = dict(listing.splits)
    if set(given) == {""}:
        splits, drawn = split_by_key(given[""], Shares()), True
    elif for_training and "train" in given and "val" not in given and "" not in given:
        splits, drawn = {**given, **split_by_key(given["train"], Shares(test=0.0))}, False
    else:
        return listing
    sizes = ", ".join(f"{len(splits[name])} {name}" for name in SPLITS if name in splits)
    note = f"split automatically, by a hash of each name: {sizes}"
    return replace(listing, splits=splits, drawn=drawn, notes=(*listing.notes, note))


def _without_excluded(listing: Listing, exclude: str | Path | None) -> Listing:
    if exclude is None:
        return listing
    keys = read_exclusions(exclude)
    splits = {name: tuple(r for r in records if r.key not in keys) for name, records in listing.splits.items()}
    bad = tuple(file for file in listing.bad if file.key not in keys)
    there = sum(map(len, listing.splits.values())) - sum(map(len, splits.values())) + len(listing.bad) - len(bad)
    note = f"left out {there} of the {len(keys)} image(s) listed in {exclude}"
    return replace(listing, splits=splits, bad=bad, notes=(*listing.notes, note))


def _refuse_fatal(faults: Sequence[Fault]) -> None:
    for fault in faults:
        if fault.fatal:
            raise DataError(fault.detail)


def _refuse_too_many_bad(listing: Listing, bad: tuple[BadFile, ...], max_bad: float) -> None:
    lost = sum(file.images for file in bad)
    total = sum(map(len, listing.splits.values())) + sum(file.images for file in listing.bad)
    if lost > max_bad * total:
        raise DataError(
            f"{lost} of {total} files of {listing.name} cannot be read, more than {100 * max_bad:g} %; the first: "
            f"{bad[0].key} ({bad[0].reason}); mend or remove them, or raise --max-bad"
        )


def _dataset(listing: Listing, unreadable: tuple[BadFile, ...]) -> Dataset:
    """The readable images of a listing in all their classes."""
    keys = {file.key for file in unreadable}
    splits = {name: tuple(r for r in records if r.key not in keys) for name, records in listing.splits.items()}
    return Dataset(
        name=listing.name,
        classes=tuple(sorted({record.label for records in splits.values() for record in records})),
        splits={name: splits[name] for name in (*SPLITS, "") if splits.get(name)},
        source=listing.source,
        channels=listing.channels,
        bad_files=listing.bad + unreadable,
        notes=listing.notes,
        faults=listing.faults,
        mirrors=listing.mirrors,
        location=listing.location,
        drawn=listing.drawn,
    )


def _for_training(dataset: Dataset, listing: Listing, unreadable: tuple[BadFile, ...]) -> Dataset:
    """The classes of the training split; what a network cannot be trained on is refused or said."""
    _refuse_lost_classes(dataset, listing, unreadable)
    faults = _faults_of_classes(dataset)
    _refuse_fatal(faults)
    classes = tuple(sorted({record.label for record in dataset.splits["train"]}))
    notes = [fault.detail for fault in (*dataset.faults, *faults)]
    kept = {}
    for split, records in dataset.splits.items():
        there = {record.label for record in records}
        notes += [f"class {name!r} has no image in {split}" for name in classes if name not in there]
        kept[split] = tuple(record for record in records if record.label in classes)
    splits = {split: records for split, records in kept.items() if records}
    return replace(dataset, classes=classes, splits=splits, notes=(*dataset.notes, *notes))


def _refuse_lost_classes(dataset: Dataset, listing: Listing, unreadable: tuple[BadFile, ...]) -> None:
    """A class that is gone because none of its images can be read would make it another task."""
    reasons = {file.key: file.reason for file in unreadable}
    listed = [record for members in listing.splits.values() for record in members]
    for name in sorted({record.label for record in listed} - set(dataset.classes)):
        lost = [record.key for record in listed if record.label == name]
        raise DataError(
            f"class {name!r} would be lost: none of its {len(lost)} image(s) can be read; the first: {lost[0]} "
            f"({reasons[lost[0]]}); mend them, or leave them out with --exclude"
        )


def _faults_of_classes(dataset: Dataset) -> list[Fault]:
    """What the classes of the splits say when they are held against each other, before any is left out."""
    if "train" not in dataset.splits:
        there = ", ".join(name for name in dataset.splits if name) or "nothing"
        detail = f"{dataset.name} has no training split, only {there}; add train/<class>/<image>"
        return [Fault(kind="no_training_split", detail=detail, fatal=True)]
    trained = {record.label for record in dataset.splits["train"]}
    faults = []
    for names in look_alike_names(dataset.classes):
        # Names that training tells apart may be meant; a name that only another split has is a misspelling.
        fatal = not set(names) <= trained
        detail = f"{_placed(dataset, names)} differ only in case, spaces or the spelling of accents; give them one name"
        faults.append(Fault(kind="name_clash", detail=detail, fatal=fatal))
    for split, records in dataset.splits.items():
        count = Counter(record.label for record in records if record.label not in trained)
        for name in sorted(count):
            detail = (
                f"class {name!r} of {split} is not in train; its {count[name]} image(s) are left out: "
                f"add train/{name}, or rename it"
            )
            faults.append(Fault(kind="unseen_class", detail=detail))
    if len(trained) < 2:
        detail = f"{dataset.name} has a single class to train on, {min(trained)!r}; give at least two"
        faults.append(Fault(kind="single_class", detail=detail, fatal=True))
    return faults


def _placed(dataset: Dataset, names: Sequence[str]) -> str:
    """Class names with the splits that they are in."""
    where = {name: [split for split in dataset.splits if dataset.counts(split)[name]] for name in names}
    # Names that differ in how accents are spelt, or in what no screen shows, look the same unless they are escaped.
    visible = {normalize("NFC", "".join(c for c in name if c.isprintable())) for name in names}
    shown = ascii if len(visible) < len(names) else repr
    return " and ".join(f"{shown(name)} of {'/'.join(splits)}" for name, splits in where.items())
