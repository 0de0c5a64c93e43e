"""What the pages tell people to write runs: Python blocks as they stand, command lines as far as their options."""

import ast
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from cyclopts import CycloptsError
from cyclopts.exceptions import MissingArgumentError
from PIL import Image

import convlens
from convlens.cli.main import COMMANDS, build_app, known_words

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
# what a test changes in a block, so that it takes a second and needs no GPU
SHORTER = [('network="resnet18", epochs=30', 'network="lenet5", epochs=1'), ('device="cuda"', 'device="cpu"')]


def _blocks(page: str) -> list[str]:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def _promises(code: str):
    """Expressions that a comment gives the value of."""
    for statement in ast.parse(code).body:
        line = code.splitlines()[statement.end_lineno - 1]
        if isinstance(statement, ast.Expr) and "  # " in line:
            try:
                yield ast.unparse(statement), ast.literal_eval(line.split("  # ", 1)[1])
            except (SyntaxError, ValueError):
                continue


def _run(page: str, blocks: list[str], names: dict) -> int:
    """Run the blocks one after the other in one namespace, and compare what they promise; how much that was."""
    compared = 0
    for code in blocks:
        for long, short in SHORTER:
            code = code.replace(long, short)
        exec(compile(code, f"docs/{page}.md", "exec"), names)
        for expression, promised in _promises(code):
            got = eval(expression, names)
            assert (got.tolist() if isinstance(got, np.ndarray) else got) == promised, expression
            compared += 1
    return compared


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder with what the pages take for granted: `photos/` with a folder a class, and two images."""
    random = np.random.default_rng(0)
    for number in range(120):
        path = tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (20, 28, 3), np.uint8)).save(path)
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(random.integers(0, 255, (40, 56, 3), np.uint8)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("page", "promises"), [("arithmetic", 2), ("anatomy", 0), ("data", 0), ("training", 0)])
def test_the_python_of_a_page_runs_and_gives_what_its_comments_say(page, promises, photos):
    assert _run(page, _blocks(page), {}) >= promises


def test_the_python_of_shipping_runs(artifacts, run, x_nchw, photos):
    """The first block; tests/shipping/test_docs_snippets.py runs those for programs without Convlens."""
    Path("resnet18.onnx").write_bytes(artifacts("onnx").read_bytes())
    _run("shipping", _blocks("shipping")[:1], {"convlens": convlens, "x_NCHW": x_nchw})


def _commands(text: str) -> list[str]:
    """Command lines of a page: whole lines of blocks, and what stands between backquotes in a sentence."""
    blocks = re.findall(r"^ *```(?:bash|sh)?\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    quoted = re.findall(r"`(convlens [^`]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE))
    return [line for line in (*lines, *quoted) if line.startswith("convlens ") and "…" not in line]


@pytest.mark.parametrize("page", [page.relative_to(DOCS).as_posix() for page in PAGES])
def test_the_commands_of_a_page_have_the_options_that_it_gives_them(page):
    page_text = (DOCS / page).read_text(encoding="utf-8")
    for line in _commands(page_text):
        words = shlex.split(line.replace("\n", " "))[1:]
        words = words[: next((place for place, word in enumerate(words) if word in ("|", ">", "&&", ";")), len(words))]
        if not words or words[0].startswith("-"):
            continue
        assert words[0] in COMMANDS, line
        try:
            build_app(words[0]).parse_args(known_words(words), exit_on_error=False, print_error=False)
        except MissingArgumentError:  # a sentence names an option, and leaves out the rest
            assert f"`{line}" in page_text, line
        except CycloptsError as error:
            pytest.fail(f"{line}: {error}")


def test_the_reference_has_a_page_for_each_room_that_gives_names():
    rooms = {
        place.parent.name
        for place in Path(convlens.__file__).parent.glob("*/__init__.py")
        if "__all__" in place.read_text()
    }
    assert {page.stem for page in (DOCS / "reference").glob("*.md")} >= rooms | {"index"}
