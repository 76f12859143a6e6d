"""Standard error is held back, and shown where the block fails."""

import os
import sys

import pytest

from tfseg.core.quiet import quiet_stderr


def test_native_output_is_held_back_and_the_rest_is_not(capfd):
    with quiet_stderr():
        os.write(2, b"announcement\n")
    print("after", file=sys.stderr)
    assert capfd.readouterr().err == "after\n"


def test_what_was_held_back_is_shown_on_failure(capfd):
    with pytest.raises(ImportError), quiet_stderr():
        os.write(2, b"the reason\n")
        raise ImportError
    assert capfd.readouterr().err == "the reason\n"
