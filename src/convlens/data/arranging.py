"""From where images lie to their splits, classes and keys: decided here for every source, folders and containers alike.

A key is the path relative to the root, then the container, then the path inside it, so that no two images share one.
Words such as `train` or `valid` are looked for at every level: folders, a container's name, folders inside it.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from convlens.data.dataset import BadFile, Fault, Record
from convlens.data.listing import split_word, split_words

Folders = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An image as a source lists it.

    Args:
        folders: from the root down to the image, or to the container that holds it.
        container: the name of the file that holds the image; "" for an image that is a file by itself.
        inside: the folders inside the container.
        name: of the image.
        label: the class name where the source states it; None where a folder names it.
        split: as the source states it; "" where it does not.
        path, place, size_bytes: as of a `Record`.
    """

    folders: Folders
    container: str = ""
    inside: Folders = ()
    name: str
    label: str | None = None
    split: str = ""
    path: str = ""
    place: tuple[int, ...] = ()
    size_bytes: int = 0

    @property
    def key(self) -> str:
        """The path relative to the root, container and member."""
        return "/".join((*self.folders, *([self.container] if self.container else []), *self.inside, self.name))


@dataclass(kw_only=True)
class Arranged:
    """Records by split (`""` where nothing names one), and what does not fit."""

    splits: dict[str, list[Record]] = field(default_factory=dict)
    bad: list[BadFile] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    loose: int = 0  # images that lie in no class folder at all


@dataclass(kw_only=True)
class _Layout:
    """What the folders mean: folders -> split and class, None where there is no class."""

    meaning: dict[Folders, tuple[str, str] | None] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def arrange(entries: Sequence[Entry], *, root: str) -> Arranged:
    """Give every image its split, class and key.

    Args:
        entries: all images of a source.
        root: what the user named, for remedies.
    """
    arranged = Arranged()
    unnamed = [entry for entry in entries if entry.label is None]
    packed = any(entry.container for entry in entries)
    layout = _layout(Counter(entry.folders + entry.inside for entry in unnamed), root, packed)
    arranged.faults += layout.faults
    names_split = _split_levels([entry for entry in entries if entry.label is not None])
    seen: Counter[str] = Counter()
    for entry in entries:
        key = entry.key
        seen[key] += 1
        if seen[key] > 1:  # a tar may hold a name twice
            key = f"{key}#{seen[key]}"
        if entry.label is None:
            found = layout.meaning[entry.folders + entry.inside]
            if found is None:
                _without_class(arranged, entry, key)
                continue
            split, label = found
        else:
            split, label = names_split.get(_where(entry), ""), entry.label
        if not label:
            arranged.bad.append(BadFile(key=key, reason="has no label: neither beside it nor a folder that names one"))
            continue
        stated = {word for word in (entry.split, split, _container_split(entry.container)) if word}
        if len(stated) > 1:
            arranged.faults.append(
                Fault(kind="two_splits", detail=f"{key} is said to be in {' and in '.join(sorted(stated))}")
            )
        record = Record(key=key, label=label, path=entry.path, place=entry.place, size_bytes=entry.size_bytes)
        arranged.splits.setdefault(min(stated, default=""), []).append(record)
    _refuse_half_divided(arranged)
    return arranged


def _without_class(arranged: Arranged, entry: Entry, key: str) -> None:
    if entry.container:
        reason = "has no label: no .cls, .txt or .json beside it and no folder in the tar"
        arranged.bad.append(BadFile(key=key, reason=reason))
    else:
        arranged.loose += 1


def _refuse_half_divided(arranged: Arranged) -> None:
    """What names no split beside what names one would have to be guessed about."""
    undivided = arranged.splits.get("", [])
    if undivided and len(arranged.splits) > 1:
        named = ", ".join(sorted(name for name in arranged.splits if name))
        arranged.faults.append(
            Fault(
                kind="half_divided",
                detail=f"{len(undivided)} images such as {undivided[0].key} are in no split and others in {named}; "
                "put them into train, val or test, or name every part of the data",
                fatal=True,
            )
        )


def _where(entry: Entry) -> tuple[Folders, Folders, str]:
    return entry.folders, entry.inside, entry.label or ""


def _split_levels(entries: Iterable[Entry]) -> dict[tuple[Folders, Folders, str], str]:
    """The split that the folders around labelled images name.

    A folder inside a container that has the name of the image's own class is that class.
    """
    found = {}
    for where in {_where(entry) for entry in entries}:
        folders, inside, label = where
        words = [*folders, *(name for name in inside if name != label)]
        found[where] = next((word for name in words if (word := split_word(name))), "")
    return found


def _container_split(name: str) -> str:
    """The split in a container's name, such as train-00000-of-00002.parquet or imagenet-val-0003.tar."""
    words = {split_word(word) for word in re.split(r"[-_.\s]+", name.rpartition(".")[0])} - {""}
    return words.pop() if len(words) == 1 else ""


def _layout(folders: Counter[Folders], root: str, packed: bool) -> _Layout:
    """Tell split folders from class folders: `<split>/<class>`, `<class>` or `<class>/<split>`."""
    prefix: Folders = ()
    below = {each for each in folders if each}
    while len({each[0] for each in below}) == 1 and all(len(each) > 1 for each in below):
        top = next(iter(below))[0]
        if split_word(top):
            break
        prefix, below = (*prefix, top), {each[1:] for each in below}
    layout = _Layout(meaning=dict.fromkeys(folders))
    tops = _tops(below)
    words = split_words(tops)
    splits = _split_tops(tops, words)
    if splits:
        _splits_first(layout, folders, prefix, tops, {name: words[name] for name in splits})
    elif all(name in words for name in tops):
        layout.faults += [_unlabelled(each, folders[each]) for each in sorted(folders) if each]
    else:
        _classes_first(layout, prefix, below, root)
        if prefix and not packed:
            inner = "/".join((root.rstrip("/"), *prefix))
            detail = f"everything lies in the folder {'/'.join(prefix)}; give {inner}"
            layout.faults.insert(0, Fault(kind="nested", detail=detail, fatal=True))
    return layout


def _tops(below: set[Folders]) -> dict[str, set[Folders]]:
    """The topmost folders, each with what lies below it."""
    tops: dict[str, set[Folders]] = defaultdict(set)
    for each in below:
        tops[each[0]].add(each[1:])
    return tops


def _split_tops(tops: dict[str, set[Folders]], words: dict[str, str]) -> list[str]:
    """Which of the topmost folders are splits: they are called so and hold folders; a class holds images."""
    others = set(tops) - set(words)
    splits = [name for name in sorted(words) if any(tops[name]) and (not others or () not in tops[name])]
    if not splits or not others or "train" in (words[name] for name in splits):
        return splits
    inside = {rest[0] for name in splits for rest in tops[name] if rest}
    return splits if inside & others else []  # else a class that happens to be called test


def _splits_first(
    layout: _Layout,
    folders: Counter[Folders],
    prefix: Folders,
    tops: dict[str, set[Folders]],
    splits: dict[str, str],
) -> None:
    classes = {name: {rest[0] for rest in tops[name] if rest} for name in splits}
    for name in splits:
        elsewhere = {label for other in splits if other != name for label in classes[other]}
        # Competitions unpack into test/test: the same word again, and no class of another split.
        twice = len(classes[name]) == 1 and () not in tops[name] and not classes[name] & elsewhere
        twice = twice and all(label == name or split_word(label) == splits[name] for label in classes[name])
        for rest in tops[name]:
            whole = (*prefix, name, *rest)
            parts = rest[1:] if twice else rest
            if parts:
                layout.meaning[whole] = splits[name], parts[0]
            else:
                layout.faults.append(_unlabelled(whole, folders[whole]))
    _refuse_folder_between(layout, prefix, tops, splits)
    for name in sorted(set(tops) - set(splits)):
        if split_word(name):
            whole = (*prefix, name)
            layout.faults += [_unlabelled(whole, folders[whole])] if folders[whole] else []
            continue
        count = sum(folders[(*prefix, name, *rest)] for rest in tops[name])
        # What holds the same folders as the splits do is neither a class nor one of them.
        clear = len(splits) > 1 or any(rest[0] in classes[split] for split in splits for rest in tops[name] if rest)
        layout.faults.append(_beside((*prefix, name), count, list(splits), clear))


def _refuse_folder_between(
    layout: _Layout, prefix: Folders, tops: dict[str, set[Folders]], splits: dict[str, str]
) -> None:
    """A folder between each split and its classes would be the only class."""
    labels = {found[1] for found in layout.meaning.values() if found}
    below = {rest[1:] for name in splits for rest in tops[name] if rest[1:] and rest[0] in labels}
    if len(labels) == 1 and len({rest[0] for rest in below}) > 1:
        between, first = next(iter(labels)), "/".join((*prefix, min(splits)))
        detail = f"the classes lie in {first}/{between}, one folder too deep; move what is in {between} to {first}"
        layout.faults.append(Fault(kind="nested", detail=detail, fatal=True))


def _classes_first(layout: _Layout, prefix: Folders, below: set[Folders], root: str) -> None:
    divided = all(len(each) > 1 and split_word(each[1]) for each in below)
    deeper = divided and any(len(each) > 2 for each in below)
    if deeper and len({each[0] for each in below}) > 1:
        first = min(below)
        inner = "/".join((root.rstrip("/"), *prefix, first[0]))
        detail = (
            f"{'/'.join((*prefix, *first))} has a folder above its split and one below it, so that the class may be "
            f"{first[0]!r} or {first[-1]!r}; give {inner}, or make it <split>/<class>"
        )
        layout.faults.append(Fault(kind="two_layouts", detail=detail, fatal=True))
    for each in below:
        layout.meaning[(*prefix, *each)] = (split_word(each[1]) if divided else ""), each[0]


def _unlabelled(folders: Folders, count: int) -> Fault:
    where = "/".join(folders)
    return Fault(
        kind="unlabelled",
        detail=f"{where} holds {count} images in no class folder, which are left out; make it {where}/<class>/<image>",
    )


def _beside(folders: Folders, count: int, splits: list[str], clear: bool) -> Fault:
    name, where = folders[-1], "/".join(folders)
    if clear:
        said = f"{where} with {count} images lies beside {', '.join(splits)} and is left out"
        return Fault(kind="beside_splits", detail=said)
    return Fault(
        kind="split_or_class",
        detail=f"{splits[0]} looks like a split and {name}, with {count} images, lies beside it: move {name} into "
        f"{splits[0]} if it is a class, rename {splits[0]} if that is a class, or give a folder without {name}",
        fatal=True,
    )
