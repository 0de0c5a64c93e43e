import importlib
import inspect
import re
import subprocess
import sys
from dataclasses import fields

import pytest

from convlens.cli.main import COMMANDS, declaration, known_words, main, work_of
from convlens.training.config import TrainConfig


def test_help_lists_every_command(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)


def test_no_word_at_all_shows_the_commands(capsys):
    assert main([]) == 0
    assert "inspect" in capsys.readouterr().out


def test_a_file_for_the_answers_may_follow_an_equals_sign():
    assert known_words(["predict", "run", "a.jpg", "--csv=o.csv", "-"]) == [
        "predict", "run", "a.jpg", "--csv", "o.csv", "/dev/stdin",
    ]  # fmt: skip
    assert known_words(["predict", "run", "--json=true"]) == ["predict", "run", "--json=true"]


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
    module, function = declaration(command).split(":")
    written = " ".join(inspect.getdoc(getattr(importlib.import_module(module), function)).split())
    example = written.split("Example", 1)[1].split(" Args:")[0][:70]
    assert main([command, "--help"]) == 0
    assert example in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_says_what_it_is_in_sentences(command):
    module, function = declaration(command).split(":")
    documented = inspect.getdoc(getattr(importlib.import_module(module), function)).partition("Args:\n")[2]
    texts = re.findall(r"^ {4}\w+: (.*(?:\n {8}.*)*)", documented, re.MULTILINE)
    texts += [entry.metadata["help"] for entry in fields(TrainConfig)] if command == "train" else []
    for text in texts:
        assert re.match(r"[A-Z]|auto ", text), text
        assert text.endswith("."), text


@pytest.mark.parametrize("command", COMMANDS)
def test_the_work_of_a_command_takes_what_the_command_takes(command):
    module, function = declaration(command).split(":")
    declared = getattr(importlib.import_module(module), function)
    work = inspect.signature(work_of(declared)).parameters
    taken = [name for name in inspect.signature(declared).parameters if name in work or "given" not in work]
    assert taken == [name for name in work if name != "given"]
    assert all(work[name].default is inspect.Parameter.empty for name in work)  # said once, where the help says it


@pytest.mark.parametrize(
    ("package", "install"), [("prometheus_client", "convlens[serve]"), ("torch", "torch"), ("antigravity", None)]
)
def test_a_package_that_is_missing_is_one_line(package, install, monkeypatch, capsys):
    def absent(name):
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    monkeypatch.setattr("convlens.cli.main.import_module", absent)
    if install is None:  # a fault of ours
        with pytest.raises(ModuleNotFoundError):
            main(["serve", "runs/nothing"])
    else:
        assert main(["serve", "runs/nothing"]) == 2
        said = f"this needs the package {package!r}, which is not installed here: pip install '{install}'\n"
        assert said in capsys.readouterr().err


def test_a_file_where_a_folder_is_needed_is_the_users_to_mend(tmp_path, capsys):
    (tmp_path / "taken").write_text("a file")
    assert main(["convolve", "--animate", str(tmp_path / "taken" / "sliding.gif")]) == 2
    shown = capsys.readouterr().err
    assert "a folder is needed here and this is a file" in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train digits --epcohs 3", "unknown option '--epcohs'; did you mean --epochs"),
        (
            "train digits --learning-rate 3",
            "unknown option '--learning-rate'; did you mean --lr? See convlens train --help",
        ),
        ("predict run a.png --figure b.png", "unknown option '--figure'; did you mean --map?"),
        ("train digits --zzz 3", "unknown option '--zzz'; see convlens train --help"),
        ("train digits --network", "--network needs a value; see convlens train --help"),
        ("train digits extra", "no use for 'extra'; see convlens train --help"),
        ("train digits --epochs x", "--epochs is 'x'; use a whole number"),
        ("train digits --epochs 1.5", "--epochs is '1.5'; use a whole number"),
        ("predict a.jpg --top 2.0", "--top is '2.0'; use a whole number"),
        ("serve run --workers 1.2", "--workers is '1.2'; use a whole number"),
        ("train digits --lr x", "--lr is 'x'; use a number"),
        ("train digits --size a", "size 'a' is not a size; write 224, 192,256"),
        ("train digits --optimizer adm", '"adm" for --optimizer. Choose from: "sgd", "adamw", "lamb"'),
        ("evaluate", "no SOURCE given; see convlens evaluate --help"),
    ],
)
def test_words_that_a_command_does_not_take_are_one_line(words, message, capsys):
    assert main(words.split()) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
