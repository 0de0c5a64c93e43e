import subprocess
import sys
import textwrap

import pytest

# In processes of their own: what fails here ends the process without a word.


def ends_well(code, *arguments):
    handling = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
    raising = "\nsignal.raise_signal(signal.SIGTERM)"
    command = [sys.executable, "-c", handling + textwrap.dedent(code) + raising, *map(str, arguments)]
    return subprocess.run(command, check=False).returncode == 7


@pytest.mark.slow
def test_a_signal_is_handled_after_predictors_came_and_went(artifacts):
    code = """
        import convlens, gc
        first, second = (convlens.load(sys.argv[1], threads=1) for _ in range(2))
        del first; gc.collect()
        del second; gc.collect()
    """
    assert ends_well(code, artifacts("openvino"))


@pytest.mark.slow
def test_a_signal_is_handled_after_others_made_cores_and_dropped_them():
    code = """
        from convlens.predicting.openvino_core import signal_stack_kept
        from convlens.predicting.untracked import untracked
        with signal_stack_kept():
            first, second = (untracked("openvino").Core() for _ in range(2))
            for core in (first, second):
                core.get_property("CPU", "FULL_DEVICE_NAME")
            del core, first
            del second
    """
    assert ends_well(code)
