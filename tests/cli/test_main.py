import subprocess
import sys

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
