"""What is wrong with a data set: every check by name, what it means, and which images it concerns."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from convlens.data.copies import Picture
from convlens.data.dataset import Dataset
from convlens.data.duplicates import Group, exact_groups, proven_groups
from convlens.data.facts import Facts, facts_of
from convlens.data.neighbours import Neighbours
from convlens.data.parallel import in_order
from convlens.data.remote import readers

Severity = Literal["error", "warning", "note"]

_FLAT = 0.03  # below this spread every picture looks like every other
_FEW_TWINS = 3  # mirror images in two classes that may be mistakes
_SHARE_OF_TWINS = 0.2  # of the smaller class: beyond it the classes tell left from right

# name -> (severity, what it means)
KINDS: dict[str, tuple[Severity, str]] = {
    "unreadable": ("error", "cannot be read, so training leaves it out"),
    "lost_class": ("error", "no image of the class can be read, so the class would be lost"),
    "nested": ("error", "a folder in a folder: the classes lie one level further down"),
    "split_or_class": ("error", "a folder that may be a split or a class"),
    "two_layouts": ("error", "folders that may be read in two ways"),
    "two_splits": ("error", "an image that is said to be in two splits"),
    "half_divided": ("error", "images in no split beside others that are in one"),
    "unlabelled": ("error", "images of a split that lie in no class folder, so they are left out"),
    "no_training_split": ("error", "nothing to train on"),
    "single_class": ("error", "one class is nothing to tell apart"),
    "name_clash": ("error", "class names that differ only in case, spaces or spelling of accents"),
    "unseen_class": ("error", "a class that training never sees, so its images are left out"),
    "leakage": ("error", "the same image in two splits: the evaluation is too good"),
    "near_leakage": ("error", "an image and its copy, saved again, resized or mirrored, in two splits"),
    "contradiction": ("error", "an image and its copy in two classes: one label is wrong"),
    "duplicate": ("warning", "the same image several times in one split and class"),
    "near_duplicate": ("warning", "copies, saved again, resized or mirrored, in one split and class"),
    "look_alike": ("warning", "images that look alike and are not proven to be copies; only a person can tell"),
    "mirror_twins": ("warning", "mirror images in two classes: right if the classes tell left from right"),
    "beside_splits": ("warning", "a folder beside the splits, which is left out"),
    "missing_class": ("warning", "a class without an image in a split"),
    "imbalance": ("warning", "one class has more than ten times the images of another"),
    "uniform": ("warning", "nearly one colour: it shows nothing"),
    "tiny": ("warning", "a side is shorter than 32 pixels"),
    "low_information": ("warning", "one shade nearly everywhere: little to learn from"),
    "odd_aspect": ("warning", "more than three times as long as wide: a crop loses most of it"),
    "odd_size": ("note", "more than ten times larger or smaller than the others"),
    "blurry": ("note", "no detail: out of focus, or enlarged"),
    "dark": ("note", "nearly black throughout"),
    "bright": ("note", "nearly white throughout"),
    "colourless": ("note", "gray among coloured images"),
    "animated": ("note", "only the first frame is used"),
    "cmyk": ("note", "stored for print; converted to RGB"),
    "sixteen_bit": ("note", "stored with 16 bits; scaled to 8"),
    "rotated": ("note", "turned by EXIF; some programs show it on its side"),
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was found: its kind, the images concerned (the keys of a group together), and details."""

    kind: str
    keys: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Check:
    """The result of looking at every image of a data set."""

    dataset: Dataset
    images: int
    findings: tuple[Finding, ...]

    def of(self, kind: str) -> list[Finding]:
        """The findings of one kind."""
        return [finding for finding in self.findings if finding.kind == kind]

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(KINDS[finding.kind][0] == "error" for finding in self.findings)

    def exclusions(self, *, look_alikes: bool = False) -> list[tuple[str, str]]:
        """What to leave out, with reasons: unreadable images, contradictions, and all but one of proven copies; that
        one is in test if any is, else in validation.

        Args:
            look_alikes: whether images of one class that only look alike are left out as copies are.
        """
        split = {record.key: name for name, records in self.dataset.splits.items() for record in records}
        label = {record.key: record.label for records in self.dataset.splits.values() for record in records}
        copies = {"leakage", "near_leakage", "duplicate", "near_duplicate"} | ({"look_alike"} if look_alikes else set())
        reasons: dict[str, str] = {}
        for finding in self.findings:
            if finding.kind == "unreadable":
                reasons[finding.keys[0]] = finding.detail
            elif finding.kind == "contradiction":
                reasons |= dict.fromkeys(finding.keys, f"contradiction: {finding.detail}")
            elif finding.kind in copies and len({label[key] for key in finding.keys}) == 1:
                kept = min(finding.keys, key=lambda key: _HELD_OUT.index(split[key]))
                more = {key: f"{finding.kind} of {kept}" for key in finding.keys if key != kept}
                reasons = more | reasons
        return sorted(reasons.items())


_HELD_OUT = ("test", "val", "train", "")


def check(dataset: Dataset, *, on_progress: Callable[[int, int], None] | None = None) -> Check:
    """Look at every image of a data set, as `survey` opens it."""
    work = [(split, record) for split, records in dataset.splits.items() for record in records]
    facts = []
    looked_at = in_order(
        lambda item: facts_of(dataset, *item), work, workers=readers(dataset.source), name="convlens-check"
    )
    for done, fact in enumerate(looked_at, start=1):
        facts.append(fact)
        if on_progress:
            on_progress(done, len(work))
    unusable = [Finding(kind="unreadable", keys=(bad.key,), detail=bad.reason) for bad in dataset.bad_files]
    faults = [Finding(kind=fault.kind, detail=fault.detail) for fault in dataset.faults]
    findings = [*unusable, *faults, *_of_each(facts), *_of_groups(dataset, facts), *_of_classes(dataset, facts)]
    order = list(KINDS)
    findings.sort(key=lambda finding: (order.index(finding.kind), finding.keys))
    return Check(dataset=dataset, images=len(work), findings=tuple(findings))


def _of_each(facts: Sequence[Facts]) -> list[Finding]:
    readable = [fact for fact in facts if not fact.reason]
    usual = float(np.median([fact.height * fact.width for fact in readable])) if readable else 0.0
    gray = sum(fact.colourless for fact in readable)
    found = []
    for fact in facts:
        key = (fact.record.key,)
        if fact.reason:
            found.append(Finding(kind="unreadable", keys=key, detail=fact.reason))
            continue
        size = f"{fact.width} × {fact.height}"
        flat = fact.spread < 0.01
        said = (
            ("uniform", flat, f"spread {fact.spread:.3f}"),
            ("tiny", min(fact.height, fact.width) < 32 and usual >= 64 * 64, size),
            ("odd_aspect", max(fact.height, fact.width) > 3 * min(fact.height, fact.width), size),
            ("odd_size", not usual / 100 <= fact.height * fact.width <= usual * 100, size),
            (
                "low_information",
                fact.spread > 0.03 and fact.alike > 0.97,
                f"{fact.alike:.0%} in one shade",
            ),
            ("blurry", fact.spread > 0.03 and min(fact.height, fact.width) >= 64 and fact.sharpness < 0.03, ""),
            ("dark", not flat and fact.brightest < 0.12, f"95 % of the pixels below {fact.brightest:.2f}"),
            ("bright", not flat and fact.darkest > 0.88, f"95 % of the pixels above {fact.darkest:.2f}"),
            ("colourless", fact.colourless and gray < 0.5 * len(readable), ""),
            *((kind, True, size) for kind in fact.stored),
        )
        found += [Finding(kind=kind, keys=key, detail=detail) for kind, true, detail in said if true]
    return found


def _of_groups(dataset: Dataset, facts: Sequence[Facts]) -> list[Finding]:
    """What is the same, what is proven to be a copy, and what only looks alike."""

    def read(fact: Facts, at_least: int | None) -> Picture:
        return dataset.read(fact.record, channels=3, at_least=None if at_least is None else (at_least, at_least))

    exact = exact_groups(facts, read)
    same = {group.facts[0].record.key: group.facts for group in exact}  # by the one that stands for all
    others = {fact.record.key for group in exact for fact in group.facts[1:]}
    single = [fact for fact in facts if not fact.reason and fact.spread > _FLAT and fact.record.key not in others]
    found = [finding for group in exact for finding in _of_group(group, near=False)]
    if len(single) < 2:
        return found
    near = Neighbours(single, mirrors=dataset.mirrors)
    groups, proven = proven_groups(near, read)
    handed = _told_by_hand(groups, facts)
    for group in groups:
        whole = [copy for fact in group.facts for copy in same.get(fact.record.key, (fact,))]
        found += _of_group(Group(facts=tuple(whole), mirrored=group.mirrored), near=True, handed=handed)
    for numbers, mirrored in near.alike():
        first, *rest = numbers
        unproven = [i for i in rest if (min(first, i), max(first, i)) not in proven]
        if unproven:
            found.append(_look_alike([single[i] for i in (first, *unproven)], mirrored))
    return found


def _told_by_hand(groups: Sequence[Group], facts: Sequence[Facts]) -> set[frozenset[str]]:
    """Pairs of classes so many of whose images are mirrored in the other that left and right must be what they tell."""
    sizes = Counter(fact.record.label for fact in facts)
    twins: Counter[frozenset[str]] = Counter()
    for group in groups:
        labels = frozenset(fact.record.label for fact in group.facts)
        if group.mirrored and len(labels) == 2:
            twins[labels] += 1
    return {
        labels
        for labels, count in twins.items()
        if count >= max(_FEW_TWINS, _SHARE_OF_TWINS * min(sizes[name] for name in labels))
    }


def _of_group(group: Group, *, near: bool, handed: Collection[frozenset[str]] = ()) -> list[Finding]:
    """A group across classes contradicts itself, one across splits leaks, and any other repeats itself."""
    members = sorted(group.facts, key=lambda fact: fact.record.key)
    keys = tuple(fact.record.key for fact in members)
    labels = sorted({fact.record.label for fact in members})
    splits = sorted({fact.split for fact in members})
    mirrored = "mirrored: " if group.mirrored else ""
    if group.mirrored and frozenset(labels) in handed:
        return [Finding(kind="mirror_twins", keys=keys, detail=" / ".join(labels))]
    found = []
    if len(labels) > 1:
        found.append(Finding(kind="contradiction", keys=keys, detail=mirrored + " / ".join(labels)))
    if len(splits) > 1:
        kind = "near_leakage" if near else "leakage"
        found.append(Finding(kind=kind, keys=keys, detail=mirrored + " / ".join(splits)))
    if not found:
        detail = f"{mirrored}{len(members)} in {splits[0] or 'no split'}, {labels[0]}"
        found.append(Finding(kind="near_duplicate" if near else "duplicate", keys=keys, detail=detail))
    return found


def _look_alike(members: Sequence[Facts], mirrored: bool) -> Finding:
    labels = sorted({fact.record.label for fact in members})
    splits = sorted({fact.split for fact in members})
    where = f"{' / '.join(splits)}, {' / '.join(labels)}"
    keys = tuple(fact.record.key for fact in members)
    return Finding(kind="look_alike", keys=keys, detail=("mirrored: " if mirrored else "") + where)


def _of_classes(dataset: Dataset, facts: Sequence[Facts]) -> list[Finding]:
    found = []
    unreadable = Counter(fact.record.label for fact in facts if fact.reason)
    trained = [name for name, count in dataset.counts("train").items() if count] if "train" in dataset.splits else []
    for split in dataset.splits:
        counts = dataset.counts(split)
        found += [
            Finding(kind="missing_class", detail=f"{name!r} has no image in {split}")
            for name in trained
            if not counts[name]
        ]
    total = Counter(fact.record.label for fact in facts)
    for name, count in sorted(unreadable.items()):
        if count == total[name]:
            first = next(fact for fact in facts if fact.record.label == name)
            detail = f"class {name!r}: none of its {count} image(s) can be read; the first: {first.reason}"
            found.append(Finding(kind="lost_class", detail=detail))
    counts_train = Counter({name: count for name, count in _readable(facts).items() if name in trained})
    if counts_train and max(counts_train.values()) > 10 * max(1, min(counts_train.values())):
        (most, many), (least, few) = counts_train.most_common()[0], counts_train.most_common()[-1]
        found.append(Finding(kind="imbalance", detail=f"{most!r} has {many} images in train and {least!r} {few}"))
    return found


def _readable(facts: Sequence[Facts]) -> Counter[str]:
    """Readable training images of each class."""
    return Counter(fact.record.label for fact in facts if fact.split == "train" and not fact.reason)
