import subprocess
import sys
import textwrap

import pytest

from convlens.cli.main import main
from convlens.runs import RunError
from convlens.runs.busy import trained_by_us_alone

HOLDER = """
import sys
from pathlib import Path
from convlens.runs.busy import trained_by_us_alone
with trained_by_us_alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(run):
    """Another process that trains in the run."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(run.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_resume_of_a_run_is_refused_and_the_first_is_left_alone(run, holder, capsys):
    before = (run.path / "checkpoint.pt").read_bytes()
    assert main(["train", "--resume", str(run.path), "--quiet"]) == 2
    assert "is being trained by another process; wait for it, or stop it" in capsys.readouterr().err
    assert (run.path / "checkpoint.pt").read_bytes() == before


def test_a_training_that_was_killed_holds_its_run_no_longer(run, holder):
    holder.kill()
    holder.wait()
    with trained_by_us_alone(run.path), pytest.raises(RunError, match="another process"), trained_by_us_alone(run.path):
        pass
