"""What every test shares: one thread a worker, deterministic algorithms, and nothing reported to anyone."""

import os
import shutil

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # for the tests that import ONNX Runtime themselves

import hypothesis
import pytest

hypothesis.settings.register_profile("convlens", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("convlens")


def pytest_collection_modifyitems(items):
    """A busy machine can starve a browser: a page test gets a second run, which the summary reports as a rerun."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """No test reads or fills the caches of the person who runs it."""
    monkeypatch.setenv("CONVLENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CONVLENS_WEIGHTS", raising=False)


# One run and one artifact a format for all tests, because training and exporting take seconds.


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A run that has learnt something, so that its probabilities are not all alike."""
    root = tmp_path_factory.mktemp("runs")
    import convlens

    return convlens.train("digits", network="lenet5", epochs=5, seed=0, runs=str(root), name="digits", quiet=True)


@pytest.fixture(scope="session")
def artifacts(run, tmp_path_factory):
    """Path of the artifact of each format, made when first asked for."""
    from convlens import shipping
    from convlens.artifacts import FORMATS

    folder, made = tmp_path_factory.mktemp("artifacts"), {}

    def path(to):
        if to not in made:
            made[to] = shipping.export(run.path, to, out=folder / f"digits{FORMATS[to].suffixes[0]}")
        return made[to].path

    return path


@pytest.fixture(scope="session")
def digits():
    """Held-out digits as decoded images, uint8 (8, 8, 1)."""
    from convlens.data import open_dataset

    dataset = open_dataset("digits")
    return [dataset.read(record, channels=1) for record in dataset.records("test")[:50]]


@pytest.fixture(scope="session")
def x_nchw(run, digits):
    import numpy as np

    return np.stack([run.folder.preprocessing.apply(image) for image in digits])


# One browser for all page tests of a process: Playwright's loop is one a thread, and a second one refuses to start.
_CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # a page that asks for the camera gets a test picture
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@pytest.fixture(scope="session")
def browser():
    """Chromium; without one these tests are skipped, except where a change is judged."""
    from playwright.sync_api import expect, sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        if os.environ.get("CI") == "true":
            pytest.fail("the page tests need Chromium")
        pytest.skip("no Chromium on this machine")
    expect.set_options(timeout=20_000)
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=_CHROMIUM)
        yield opened
        opened.close()
