"""The command line reports errors: whose fault it is, in one line, and the exit code."""

import re
import sys

import numpy as np
import pytest

import tfseg.cli.datasets
from tfseg.cli import app as cli
from tfseg.core.errors import ConfigError, DataError, RunError


@pytest.fixture
def failing(monkeypatch, capsys):
    """Run `tfseg phantom` with a step in it that raises an error; return the exit code and what it printed."""

    def run(error, *options):
        def broken(*_):
            raise error

        monkeypatch.setattr(tfseg.cli.datasets, "make_phantoms", broken)
        monkeypatch.setattr(sys, "argv", ["tfseg", "phantom", "out", *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigError("--folds: expected 2 or more"), 2, "--folds: expected 2 or more"),
        (DataError("a.nii.gz:\n no such file"), 1, "a.nii.gz: no such file"),
        (RunError("2 of 3 folds failed"), 1, "2 of 3 folds failed"),
        (FileNotFoundError(2, "No such file or directory", "x"), 1, "[Errno 2] No such file or directory: 'x'"),
        (MemoryError(), 1, "MemoryError"),
    ],
)
def test_an_error_about_the_call_or_the_data_is_one_line(failing, error, code, line):
    assert failing(error) == (code, f"tfseg: {line}\n")
    ended, printed = failing(error, "--debug")
    assert ended == code
    assert printed.startswith("Traceback (most recent call last):")
    assert printed.endswith(f"\ntfseg: {line}\n")


def numpy_error():
    """What NumPy raises when tfseg hands it arrays that do not fit."""
    with pytest.raises(ValueError, match="broadcast") as raised:
        np.zeros(2) + np.zeros(3)
    return raised.value


@pytest.mark.parametrize("error", [numpy_error(), KeyError("label"), RuntimeError("two\nlines"), AssertionError()])
def test_any_other_error_is_a_fault_of_tfseg(failing, error):
    code, printed = failing(error)
    assert code == 1
    what = re.escape(f"{type(error).__name__}: {' '.join(str(error).split())}")
    assert re.fullmatch(
        f"tfseg: this is a fault of tfseg, not of your input: {what}.*; --debug shows where, and how to report it\n",
        printed,
    )


def test_debug_shows_where_a_fault_is_and_how_to_report_it(failing):
    code, printed = failing(numpy_error(), "--debug")
    assert code == 1
    assert printed.startswith("Traceback (most recent call last):")
    assert "in broken" in printed
    assert "could not be broadcast" in printed.splitlines()[-1]
    assert "send the command, the traceback above and what `tfseg doctor` prints" in printed.splitlines()[-1]
    assert "--debug" not in printed.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["tune", "--trials", "0"], r"Invalid value for '--trials': .*\(tfseg tune --help\)"),
        (["fit", "--epochs", "two"], r"Invalid value for '--epochs': .*\(tfseg fit --help\)"),
        (["fit", "--lose", "dice"], r"No such option: --lose .*\(tfseg fit --help\)"),
        (["predict"], r"Missing argument .*\(tfseg predict --help\)"),
        (["train"], r"No such command 'train'.*\(tfseg --help\)"),
    ],
)
def test_a_wrong_call_is_one_line_that_names_the_help(monkeypatch, capsys, words, line):
    monkeypatch.setattr(sys, "argv", ["tfseg", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert re.fullmatch(f"tfseg: {line}\n", capsys.readouterr().err)


def test_no_words_show_the_help(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tfseg"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "compare" in capsys.readouterr().out


def test_interrupted_work_says_that_the_command_resumes(failing):
    assert failing(KeyboardInterrupt()) == (130, "tfseg: interrupted; the same command resumes from here\n")


def test_the_version_is_printed(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tfseg", "--version"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code, capsys.readouterr().out) == (0, f"tfseg {tfseg.__version__}\n")
