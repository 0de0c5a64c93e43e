"""The commands in docs/serving.md, executed by a client that knows nothing of us."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import CLASSES, png

DOCS = Path(__file__).parents[2] / "docs" / "serving.md"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_gets_named_classes(serving, tmp_path):
    client = serving()
    (tmp_path / "three.png").write_bytes(png(3))
    blocks = re.findall(r"```bash\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        script = block.replace("http://127.0.0.1:8000", str(client.base_url).rstrip("/"))
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
        (prediction,) = json.loads(done.stdout)["predictions"]
        assert prediction["file"] == "three.png"
        assert prediction["classes"][0]["label"] in CLASSES


def test_every_address_and_option_that_the_page_names_is_there(serving):
    from convlens.serving.server_settings import Settings

    text = DOCS.read_text(encoding="utf-8")
    api = serving().get("/openapi.json").json()
    named = set(re.findall(r"`(?:GET |POST )?(/[a-z.]+)`", text)) - {"/openapi.json", "/docs"}
    assert set(api["paths"]) <= named
    options = {option.replace("-", "_") for option in re.findall(r"--([a-z][a-z-]*)", text)}
    foreign = {"top", "json", "to", "out", "rm", "cpus", "build_arg", "format", "data_binary"}
    assert options - foreign <= set(Settings.__dataclass_fields__)
