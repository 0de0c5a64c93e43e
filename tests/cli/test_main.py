import subprocess
import sys

import pytest

from convlens.cli.main import COMMANDS, main


def test_help_lists_every_command(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)


def test_an_unknown_command_is_one_line_and_exit_code_2(capsys):
    assert main(["trian"]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("convlens: unknown command 'trian'")
    assert shown.err.count("\n") == 1


def test_help_imports_no_torch():
    code = "import sys; from convlens.cli.main import main; main(['--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_an_example(command, capsys):
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"convlens {command} " in shown.split("Example", 1)[1]
