"""A lecture: an ordered list of steps through the pages, as data; ours in each language, or anybody's from a file."""

from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from convlens.errors import ConvlensError, unknown_name
from convlens.plain_yaml import read_yaml

OURS = Path(__file__).parent / "lectures"
PAGES = Path(__file__).parent / "static" / "pages"
MOST_STEPS = 500


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step.

    Attributes:
        say: the sentence that is shown.
        at: the address of the page that shows it, such as `/convolution?stride=2`.
        ask: a question to answer before the lecture goes on; empty for none.
        answer: what the next key reveals.
        shows: words that the page must show; for tests of a lecture.
    """

    say: str
    at: str
    ask: str = ""
    answer: str = ""
    shows: str = ""


@dataclass(frozen=True, kw_only=True)
class Lecture:
    """A title and its steps."""

    title: str
    steps: tuple[Step, ...]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


@cache
def our_lecture(language: str) -> Lecture:
    """The lecture that comes with the package, in a language.

    Raises:
        ConvlensError: there is none in that language.
    """
    known = sorted(path.stem for path in OURS.glob("*.yaml"))
    if language not in known:
        raise unknown_name("language", language, known)
    return read_lecture(OURS / f"{language}.yaml")


def read_lecture(path: Path) -> Lecture:
    """Read and check a lecture.

    Raises:
        ConvlensError: the file cannot be read, or a step is not as it has to be; the message names the step.
    """
    try:
        found = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConvlensError(f"the lecture {path} cannot be read: {error}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConvlensError(f"the lecture {path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict) or not isinstance(found.get("steps"), list) or not found["steps"]:
        raise ConvlensError(f"the lecture {path} has no steps; write steps: and below it one - say: …, at: … for each")
    for key in found:
        if key not in ("title", "steps"):
            raise unknown_name(f"key of the lecture {path}:", key, ["title", "steps"])
    if len(found["steps"]) > MOST_STEPS:
        raise ConvlensError(f"the lecture {path} has {len(found['steps'])} steps; {MOST_STEPS} are the most")
    steps = tuple(_step(path, number, each) for number, each in enumerate(found["steps"], 1))
    return Lecture(title=str(found.get("title", path.stem)), steps=steps)


def _step(path: Path, number: int, found: Any) -> Step:
    where = f"step {number} of the lecture {path}"
    if not isinstance(found, dict):
        raise ConvlensError(f"{where} is {found!r}; write say: a sentence, and at: the address of a page")
    known = [each.name for each in fields(Step)]
    for key, value in found.items():
        if key not in known:
            raise unknown_name(f"key in {where}:", key, known)
        if not isinstance(value, str):
            raise ConvlensError(f"{where}: {key} is {value!r}; put it into quotes, it has to be text")
    for key in ("say", "at"):
        if not str(found.get(key, "")).strip():
            raise ConvlensError(f"{where} lacks {key!r}; give {'a sentence' if key == 'say' else 'an address'}")
    if bool(found.get("ask")) != bool(found.get("answer")):
        raise ConvlensError(f"{where} has {'ask' if found.get('ask') else 'answer'} alone; a question needs its answer")
    _check_address(where, found["at"])
    return Step(**found)


def _check_address(where: str, address: str) -> None:
    parts = urlsplit(address)
    pages = sorted(file.stem for file in PAGES.glob("*.js"))
    if parts.scheme or parts.netloc or not parts.path.startswith("/"):
        raise ConvlensError(f"{where}: at is {address!r}; give a page's address without the machine: /convolution?…")
    if parts.path.strip("/") not in pages:
        raise unknown_name(f"page in {where}:", parts.path.strip("/"), pages)
