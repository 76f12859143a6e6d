"""Call the command line as a user does, in the process of the tests."""

import sys

import pytest

from tfseg.cli.app import main


@pytest.fixture
def tfseg(monkeypatch, capsys):
    """Runs the command in this process: exit code, standard output, standard error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["tfseg", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return (stop.value.code or 0, *capsys.readouterr())

    return call
