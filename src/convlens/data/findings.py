"""What is wrong with a data set: every check by name, what it means, and which images it concerns."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from unicodedata import normalize

import numpy as np

from convlens.data.dataset import Dataset
from convlens.data.duplicates import exact_groups, near_groups
from convlens.data.facts import Facts, facts_of
from convlens.data.parallel import in_order
from convlens.data.remote import readers

Severity = Literal["error", "warning", "note"]

# name -> (severity, what it means)
KINDS: dict[str, tuple[Severity, str]] = {
    "unreadable": ("error", "cannot be read, so training leaves it out"),
    "leakage": ("error", "the same image in two splits: the evaluation is too good"),
    "near_leakage": ("error", "nearly the same image in two splits: the evaluation is too good"),
    "contradiction": ("error", "the same or nearly the same image in two classes: one label is wrong"),
    "name_clash": ("error", "class names that differ only in case, spaces or spelling of accents"),
    "duplicate": ("warning", "the same image several times in one split and class"),
    "near_duplicate": ("warning", "nearly the same image several times in one split and class"),
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

    def exclusions(self) -> list[tuple[str, str]]:
        """What to leave out, with reasons: unreadable images, contradictions, copies, and of copies across splits the
        ones in training.
        """
        split = {record.key: name for name, records in self.dataset.splits.items() for record in records}
        reasons: dict[str, str] = {}
        for finding in self.findings:
            first = finding.keys[0] if finding.keys else ""
            if finding.kind == "unreadable":
                reasons[first] = finding.detail
            elif finding.kind == "contradiction":
                reasons |= dict.fromkeys(finding.keys, f"contradiction: {finding.detail}")
            elif finding.kind in ("leakage", "near_leakage"):
                held_out = next(key for key in finding.keys if split[key] != "train")
                copies = {key: f"{finding.kind} of {held_out}" for key in finding.keys if split[key] == "train"}
                _add_new(reasons, copies)
            elif finding.kind in ("duplicate", "near_duplicate"):
                _add_new(reasons, dict.fromkeys(finding.keys[1:], f"{finding.kind} of {first}"))
        return sorted(reasons.items())


def _add_new(reasons: dict[str, str], more: dict[str, str]) -> None:
    for key, reason in more.items():
        reasons.setdefault(key, reason)


def check(dataset: Dataset, *, on_progress: Callable[[int, int], None] | None = None) -> Check:
    """Look at every image of a data set that was opened with `check_files=False`."""
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
    findings = [*unusable, *_of_each(facts), *_of_groups(facts), *_of_classes(dataset)]
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


def _of_groups(facts: Sequence[Facts]) -> list[Finding]:
    found = []
    for near, groups in ((False, exact_groups(facts)), (True, near_groups(facts))):
        for group in groups:
            found += _of_group(group, near)
    around: dict[tuple[str, str], list[set[str]]] = defaultdict(list)  # groups by kind and each of their images
    for finding in found:
        keys = set(finding.keys)
        for key in finding.keys:
            around[finding.kind, key].append(keys)
    # What looks the same includes what is the same: a group within a larger one of its kind says nothing new.
    return [f for f in found if not any(set(f.keys) < keys for keys in around[f.kind, f.keys[0]])]


def _of_group(group: list[Facts], near: bool) -> list[Finding]:
    """A group across classes contradicts itself, one across splits leaks, and any other repeats itself."""
    group = sorted(group, key=lambda fact: fact.record.key)
    keys = tuple(fact.record.key for fact in group)
    labels = sorted({fact.record.label for fact in group})
    splits = sorted({fact.split for fact in group})
    if near and len({fact.digest for fact in group}) < 2:
        return []
    found = []
    if len(labels) > 1:
        found.append(Finding(kind="contradiction", keys=keys, detail=" / ".join(labels)))
    if len(splits) > 1:
        found.append(Finding(kind="near_leakage" if near else "leakage", keys=keys, detail=" / ".join(splits)))
    if not found:
        detail = f"{len(group)} in {splits[0]}, {labels[0]}"
        found.append(Finding(kind="near_duplicate" if near else "duplicate", keys=keys, detail=detail))
    return found


def _of_classes(dataset: Dataset) -> list[Finding]:
    found = [Finding(kind="name_clash", detail=" / ".join(names)) for names in clashing(dataset.classes)]
    for split in dataset.splits:
        lacking = [name for name, count in dataset.counts(split).items() if not count]
        found += [Finding(kind="missing_class", detail=f"{name!r} has no image in {split}") for name in lacking]
    counts = Counter(dataset.counts("train")) if "train" in dataset.splits else Counter[str]()
    if counts and max(counts.values()) > 10 * max(1, min(counts.values())):
        (most, many), (least, few) = counts.most_common()[0], counts.most_common()[-1]
        found.append(Finding(kind="imbalance", detail=f"{most!r} has {many} images in train and {least!r} {few}"))
    return found


def clashing(classes: Sequence[str]) -> list[tuple[str, ...]]:
    """Class names that a person would take for the same."""
    spelt: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        spelt["".join(normalize("NFKC", name).casefold().replace("_", " ").replace("-", " ").split())].append(name)
    return [tuple(names) for names in spelt.values() if len(names) > 1]
