"""Errors in preparing a case name one of its files, whatever was underneath."""

from pathlib import Path

import numpy as np
import pytest

from tfseg.core.errors import ConfigError, DataError
from tfseg.datasets.layouts import Case
from tfseg.preparation.case_files import naming
from tfseg.preparation.steps import Recipe

CASE = Case("a", "anna", (Path("scans/a.nii"),), Path("labels/a.nii"))
MASKED = Recipe(skull_strip="mask", skull_strip_mask="{case}_brain.nii")


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (DataError("no body"), DataError, "scans/a.nii: no body"),
        (DataError("labels/a.nii: its shape is wrong"), DataError, "labels/a.nii: its shape is wrong"),
        (DataError("scans/a_brain.nii: no such file"), DataError, "scans/a_brain.nii: no such file"),
        (MemoryError(), MemoryError, "scans/a.nii: MemoryError"),
        (ValueError("shapes (2,)\n(3,)"), RuntimeError, "scans/a.nii: ValueError: shapes (2,) (3,)"),
        (KeyError("axis"), RuntimeError, "scans/a.nii: KeyError: 'axis'"),
        (ConfigError("recipe: expected"), ConfigError, "recipe: expected"),
        (OSError(28, "No space left on device"), OSError, "[Errno 28] No space left on device"),
    ],
)
def test_an_error_names_a_file_once(error, kind, message):
    with pytest.raises(kind) as raised, naming(CASE, MASKED), naming(CASE, MASKED):
        raise error
    assert type(raised.value) is kind
    assert str(raised.value) == message


def test_an_array_that_is_too_large_names_a_file():
    with pytest.raises(MemoryError, match=r"^scans/a\.nii: Unable to allocate"), naming(CASE, MASKED):
        np.empty(2**60, np.uint8)
