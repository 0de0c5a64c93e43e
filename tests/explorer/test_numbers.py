"""Numbers on every page, in both languages, at three widths: none is broken over two lines, none is cut off."""

import json
import re

import pytest

from convlens.explorer.app import STATIC

pytestmark = pytest.mark.browser

WIDTHS = (1440, 1024, 390)
PAGES = re.findall(r'name: "(\w+)"', (STATIC / "core" / "pages.js").read_text())

FAULTS = r"""() => {
  const faults = [];
  const outside = (box, frame) => box.right > frame.right + 1 || box.left < frame.left - 1;
  const words = document.createTreeWalker(document.getElementById("content"), NodeFilter.SHOW_TEXT);
  const number = /(?<![\p{L}\d])[−-]?\d[\d\u00a0\u202f.,]*(?:\u00a0?(?:%|[A-Za-zА-я]+))?/gu;
  for (let node = words.nextNode(); node; node = words.nextNode()) {
    const around = node.parentElement;
    if (!around.checkVisibility({ visibilityProperty: true }) || around.closest("svg, .visually-hidden")) continue;
    for (const match of node.data.matchAll(number)) {
      const range = document.createRange();
      range.setStart(node, match.index);
      range.setEnd(node, match.index + match[0].length);
      const boxes = [...range.getClientRects()].filter((box) => box.width > 0);
      if (!boxes.length) continue;
      const where = `${match[0]} in "${node.data.trim().slice(0, 60)}" (${around.className || around.tagName})`;
      const tops = boxes.map((box) => box.top);
      if (Math.max(...tops) - Math.min(...tops) > 4) faults.push(`wraps: ${where}`);
      for (let outer = around; outer && outer.id !== "content"; outer = outer.parentElement) {
        const style = getComputedStyle(outer);
        const hidden = style.overflowX !== "visible";
        if (!hidden) continue;
        const scrolls = style.overflowX !== "hidden" && outer.tabIndex >= 0; // what is meant to be scrolled can be
        const frame = outer.getBoundingClientRect();
        if (!scrolls && boxes.some((box) => outside(box, frame))) faults.push(`cut off: ${where}`);
        break;
      }
    }
  }
  for (const text of document.querySelectorAll("#content svg text")) {
    const [box, frame] = [text.getBoundingClientRect(), text.ownerSVGElement.getBoundingClientRect()];
    const clips = getComputedStyle(text.ownerSVGElement).overflow !== "visible";
    if (clips && box.width && outside(box, frame)) faults.push(`cut off: ${text.textContent}`);
  }
  return [...new Set(faults)];
}"""


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("name", PAGES)
def test_no_number_is_broken_or_cut_off(visit, name, language):
    page = visit(f"/{name}", width=WIDTHS[0], language=language)
    found = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(120)  # what is drawn to fit is drawn anew
        found[width] = page.evaluate(FAULTS)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not any(found.values()), json.dumps(found, ensure_ascii=False, indent=1)


def test_russian_numbers_have_a_comma_and_no_point(visit):
    """A point between digits only in what is code, an address or a name."""
    for name in ("image", "pooling", "signals?step=30", "accuracy?at=ResNet-50", "inside"):
        page = visit(f"/{name}", language="ru")
        said = page.locator("#content").inner_text()
        numbers = re.findall(r"(?<![\w.(])[−-]?\d+\.\d+(?![\w.)])", said)
        assert not numbers, (name, numbers)
        assert re.search(r"\d,\d", said), name
