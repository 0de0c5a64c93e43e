from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.mark.slow
def test_what_stops_one_process_stops_all_with_one_cause_that_names_it(start_together, tmp_path):
    for rank in range(2):
        (tmp_path / f"machine{rank}").mkdir()
    for name in ("cat", "dog"):
        folder = tmp_path / "machine0" / "photos" / name
        folder.mkdir(parents=True)
        for number in range(6):
            pixels = np.random.default_rng(number).integers(0, 256, (9, 12, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    script = Path(__file__).with_name("stopped_together.py")
    arguments = [[script, tmp_path / f"machine{rank}", tmp_path / "shared"] for rank in range(2)]
    codes, out, err = start_together(2, *arguments)
    assert codes == [0, 0], err
    for text in out:
        versions, folder, number, data = text.splitlines()
        assert "rank 1 on" in versions
        assert "has convlens 0.1 and rank 0" in versions
        assert "rank 1 on" in folder
        assert "does not see here/" in folder
        assert "on rank 1 the loss became nan in epoch 1, step 1" in number
        assert "rank 1 on" in data
        assert "photos" in data
        assert all(line.startswith("2 ") for line in (versions, folder, number, data))
