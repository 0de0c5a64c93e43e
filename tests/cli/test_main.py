import importlib
import inspect
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


@pytest.mark.parametrize("command", COMMANDS)
def test_an_example_is_shown_as_it_is_typed(command, capsys):
    module, function = COMMANDS[command][0].split(":")
    written = " ".join(inspect.getdoc(getattr(importlib.import_module(module), function)).split())
    example = written.split("Example", 1)[1].split(" Args:")[0][:70]
    assert main([command, "--help"]) == 0
    assert example in " ".join(capsys.readouterr().out.split())


def test_a_file_where_a_folder_is_needed_is_the_users_to_mend(tmp_path, capsys):
    (tmp_path / "taken").write_text("a file")
    assert main(["convolve", "--animate", str(tmp_path / "taken" / "sliding.gif")]) == 2
    shown = capsys.readouterr().err
    assert "a folder is needed here and this is a file" in shown
    assert shown.count("\n") == 1
