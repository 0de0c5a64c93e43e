"""How long the explorer lets one wait, in real Chromium: against the limits that it is built to.

    python benchmarks/explorer.py [--quick] [--json]

First view from an empty cache; frames a second while a kernel slides, and while the fully opened graphs of resnet152
and efficientnet_b7 are moved and zoomed; the graph of resnet50 from a fresh server; page 8 on a ResNet-50 that was not
there yet, and another part of it. No peer runs beside it: "peer" is the limit.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "2")

from playwright.sync_api import Browser, sync_playwright

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FRAMES = """async () => {
  const times = [];
  const playing = setInterval(() => document.querySelector('.player [title*="→"]').click(), 40);
  await new Promise((done) => {
    const frame = (now) => { times.push(now); if (now - times[0] < 2500) requestAnimationFrame(frame); else done(); };
    requestAnimationFrame(frame);
  });
  clearInterval(playing);
  return (times.length - 1) / ((times.at(-1) - times[0]) / 1000);
}"""
MOVING = """async () => {
  const canvas = document.querySelector("canvas.viewer-canvas");
  const box = canvas.getBoundingClientRect();
  const wheel = (deltaX, deltaY, ctrlKey) => canvas.dispatchEvent(new WheelEvent("wheel", { deltaX, deltaY, ctrlKey, clientX: box.left + 300, clientY: box.top + 200, bubbles: true, cancelable: true }));
  const times = [];
  await new Promise((done) => {
    const frame = (now) => {
      times.push(now);
      wheel(times.length % 120 < 60 ? 9 : -9, 0, false);
      wheel(0, times.length % 80 < 40 ? -9 : 9, true);
      if (now - times[0] < 2500) requestAnimationFrame(frame); else done();
    };
    requestAnimationFrame(frame);
  });
  return (times.length - 1) / ((times.at(-1) - times[0]) / 1000);
}"""  # noqa: E501
SLIDING = "/convolution?padding=2&input=" + ";".join(",".join("1" * 12) for _ in range(12))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, under a minute")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    repetitions = 2 if asked.quick else 7
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        rows = measured(chromium, repetitions)
        chromium.close()
    if asked.json:
        print(json.dumps({"rows": rows}))
        return
    print(f"{'what':52} {'ours':>8} {'limit':>8} unit  ratio")
    for row in rows:
        print(f"{row['what']:52} {row['ours']:8.3f} {row['peer']:8.3f} {row['unit']:5} {row['ratio']:5.2f}")


def measured(chromium: Browser, repetitions: int) -> list[dict[str, object]]:
    """One row a limit; a ratio above 1 keeps it."""
    cold, address, server = started()
    try:
        first = [view(chromium, f"{address}/convolution", ".sum-total") for _ in range(repetitions)]
        page = chromium.new_page()
        page.goto(address + SLIDING)
        page.locator("#content[data-shown]").wait_for()
        frames = [page.evaluate(FRAMES) for _ in range(min(3, repetitions))]
        graph_cold = view(chromium, f"{address}/network?a=resnet50")
        graph = [view(chromium, f"{address}/network?a=resnet50") for _ in range(repetitions)]
        inside_cold = view(chromium, f"{address}/inside?network=resnet50&picture=temple", ".sprite")
        maps = [part(chromium, address) for _ in range(repetitions)]
        moving = {name: opened(chromium, address, name) for name in ("resnet152", "efficientnet_b7")}
    finally:
        server.terminate()
        server.wait(30)
    return [
        row("start of the command until it answers", cold, 10.0, "s"),
        row("first view, nothing cached in the browser", statistics.median(first), 1.0, "s"),
        row("frames while a kernel slides over 16×16", statistics.median(frames), 60.0, "1/s", more=True),
        row("graph of resnet50, first time", graph_cold, 1.5, "s"),
        row("graph of resnet50, again", statistics.median(graph), 1.5, "s"),
        row("first maps of resnet50 at 224 px on page 8, cold", inside_cold, 3.0, "s"),
        row("another part of resnet50 on page 8", statistics.median(maps), 1.0, "s"),
        *(
            row(f"frames while {name}, fully opened, moves", found, 60.0, "1/s", more=True)
            for name, found in moving.items()
        ),
    ]


def row(what: str, ours: float, limit: float, unit: str, *, more: bool = False) -> dict[str, object]:
    # a screen shows no more than 60 frames, and a browser counts them to a few in a thousand
    ratio = ours / limit if more else limit / ours
    return {"what": what, "ours": ours, "peer": limit, "unit": unit, "ratio": ratio}


def started() -> tuple[float, str, "subprocess.Popen[str]"]:
    """Start the command and wait for its address."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "convlens", "explore", "--no-browser", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    line = server.stdout.readline()
    return time.perf_counter() - begin, line.split()[2], server


def view(chromium: Browser, address: str, shows: str = "#content[data-shown]") -> float:
    """Seconds from asking for a page until something is shown on it."""
    context = chromium.new_context()
    page = context.new_page()
    begin = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.locator(shows).first.wait_for()
    seconds = time.perf_counter() - begin
    context.close()
    return seconds


def part(chromium: Browser, address: str) -> float:
    """Seconds from choosing another part of a network until its maps are drawn."""
    page = chromium.new_page()
    page.goto(f"{address}/inside?network=resnet50&picture=temple")
    page.locator("#content[data-shown]").wait_for()
    before = page.locator(".column b").nth(1).inner_text()
    begin = time.perf_counter()
    page.get_by_role("button", name="The part after").click()
    page.wait_for_function("before => document.querySelectorAll('.column b')[1]?.innerText !== before", arg=before)
    seconds = time.perf_counter() - begin
    page.close()
    return seconds


def opened(chromium: Browser, address: str, name: str) -> float:
    """Frames a second while the fully opened graph of a network is moved and zoomed."""
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{address}/network?a={name}&once=no")
    page.locator("#content[data-shown]").wait_for()
    page.get_by_role("button", name="Open everything").click()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.network-head button')]"
        ".find((each) => each.innerText === 'Open everything').disabled"
    )
    frames = page.evaluate(MOVING)
    page.close()
    return float(frames)


if __name__ == "__main__":
    main()
