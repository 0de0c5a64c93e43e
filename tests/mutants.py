"""Change one thing in one file and see whether a test fails: a sample of such mutants, drawn by a seed.

usage: mutants.py [--seed 0] [--count 60] [--rooms anatomy,arithmetic] [--at-once 2] [--least 0.9] [--list]

The changes are those of cosmic-ray that alter what a line computes. A file is held against its examples and the eight
files of tests in its room that name most of it; a failure counts only if the same test passes without the change.
"""

import argparse
import difflib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "convlens"
# fmt: off
ROOMS = [
    "anatomy", "arithmetic", "artifacts", "benchmarking", "calibrating", "choosing", "classifiers", "data",
    "evaluation", "explaining", "graph", "images", "lessons", "networks", "predicting", "runs", "serving",
    "shipping", "training", "untrusted",
]
OPERATORS = [
    "NumberReplacer", "AddNot", "ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue",
    *(f"ReplaceBinaryOperator_{pair}" for pair in (
        "Add_Sub", "Sub_Add", "Mul_Add", "Div_Mul", "Div_FloorDiv", "FloorDiv_Div", "Pow_Mul")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in (
        "Eq_NotEq", "NotEq_Eq", "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "IsNot_Is")),
    "ReplaceUnaryOperator_Delete_USub",
]
# fmt: on
# Changes that are no faults: what a picture looks like is looked at, not computed; and what a constructor or a `zip`
# refuses of our own code does not happen.
DRAWN = ("figures.py", "_figure.py", "drawing.py", "page.py", "progress.py", "heat_pictures.py")
GUARDS = re.compile(r"^\s*@dataclass\(|\bstrict=True\b|\bassert\b")
MOST_FILES = 8
SECONDS = 300  # for the tests of one mutant; what takes longer is not counted as caught


@dataclass(frozen=True)
class Mutant:
    """One file with one change."""

    path: Path
    code: str
    change: str


def draw(chance: random.Random, rooms: list[str]) -> Mutant:
    """Draw a room, a file by its length, a kind of change, and one of the places where it can be made."""
    while True:
        files = sorted((SOURCE / chance.choice(rooms)).rglob("*.py"))
        files = [file for file in files if not str(file).endswith(DRAWN) and "animation" not in file.parts]
        (path,) = chance.choices(files, [file.stat().st_size for file in files])
        original = path.read_text(encoding="utf-8")
        operator = get_operator(f"core/{chance.choice(OPERATORS)}")()
        places = next(place for place in range(9999) if mutate_code(original, operator, place) is None)
        if places and (code := mutate_code(original, operator, chance.randrange(places))) and code != original:
            lines = list(difflib.unified_diff(original.splitlines(), code.splitlines(), n=0, lineterm=""))[2:]
            if not any(GUARDS.search(line[1:]) for line in lines if line.startswith("-")):
                return Mutant(path.relative_to(SOURCE), code, "\n".join(f"    {line}" for line in lines))


def tests_of(path: Path) -> list[str]:
    """The examples of a module, and the tests of its room: those first that name most of the module."""
    defined = re.findall(r"^(?:def|class) (\w+)", (SOURCE / path).read_text(encoding="utf-8"), re.MULTILINE)
    words = re.compile(rf"\b({'|'.join([path.stem, *(name for name in defined if name[0] != '_')])})\b")
    found = {}
    for test in sorted((ROOT / "tests" / path.parts[0]).rglob("test_*.py")):
        found[test] = len(set(words.findall(test.read_text(encoding="utf-8")))) + 5 * (path.stem in test.stem)
    module = ".".join(["convlens", *path.with_suffix("").parts]).removesuffix(".__init__")
    nearest = sorted(found, key=lambda test: -found[test])[:MOST_FILES]
    examples = f"tests/test_examples.py::test_docstring_examples_run[{module}]"
    return [examples, *(str(test.relative_to(ROOT)) for test in nearest)]


def _run(source: Path, tests: list[str]) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not browser", *tests]
    environment = os.environ | {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return -1, ""
    return done.returncode, done.stdout


def judge(mutant: Mutant) -> str:
    """How the tests took it: caught, survived, or untested."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(SOURCE, Path(folder) / "convlens", ignore=shutil.ignore_patterns("__pycache__"))
        (Path(folder) / "convlens" / mutant.path).write_text(mutant.code, encoding="utf-8")
        code, said = _run(Path(folder), tests_of(mutant.path))
    if code in (0, 5):
        return "survived" if code == 0 else "untested"
    failed = re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", said, re.MULTILINE)
    return "caught" if failed and _run(SOURCE.parent, failed[:1])[0] == 0 else "untested"


def main() -> int:
    """Draw, run, print each as it is known, and end with the share that was caught."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--rooms", default=",".join(ROOMS))
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--least", type=float, default=0.9)
    parser.add_argument("--list", action="store_true", help="only show what would be changed")
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    mutants: dict[Mutant, None] = {}
    while len(mutants) < asked.count:
        mutants[draw(chance, asked.rooms.split(","))] = None
    with ThreadPoolExecutor(asked.at_once) as pool:
        verdicts = []
        for mutant, verdict in zip(mutants, map(str, mutants) if asked.list else pool.map(judge, mutants), strict=True):
            verdicts.append(verdict)
            print(f"{'' if asked.list else verdict + '  '}{mutant.path}\n{mutant.change}", flush=True)
    caught = verdicts.count("caught")
    if asked.list:
        return 0
    print(f"{caught} of {len(verdicts)} caught ({caught / len(verdicts):.0%}), seed {asked.seed}")
    return 0 if caught >= asked.least * len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
