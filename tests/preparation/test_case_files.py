"""Errors in preparing a case name one of its files, whatever was underneath."""

from pathlib import Path

import numpy as np
import pytest

from tfseg.core.errors import ConfigError, DataError
from tfseg.datasets.layouts import Case, Dataset
from tfseg.preparation.case_files import check_has, naming
from tfseg.preparation.steps import Recipe, SecondMap

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


def test_a_dataset_without_the_channels_of_a_recipe_is_refused():
    dataset = Dataset("newborns", ("ADC",), {1: "lesion"}, (CASE,))
    for fitting in (Recipe(), Recipe(channels=1)):
        check_has(dataset, fitting)
    with pytest.raises(ConfigError, match=r"^newborns: expected 2 channels, as the recipe asks; received 1 \(ADC\)$"):
        check_has(dataset, Recipe(channels=2))


def test_a_dataset_without_second_label_maps_is_refused(tmp_path):
    cases = tuple(Case(name, name, (tmp_path / "images" / f"{name}.nii",)) for name in "ab")
    dataset = Dataset("heads", ("T1",), {1: "skin"}, cases)
    recipe = Recipe(second_map=SecondMap(path="../tissue/{case}.nii", values={2: 4}))
    with pytest.raises(ConfigError, match=r"^second_map\.path: expected .*, found none at .*tissue/a\.nii$"):
        check_has(dataset, recipe)
    (tmp_path / "images").mkdir()
    (tmp_path / "tissue").mkdir()
    (tmp_path / "tissue" / "b.nii").touch()  # one is missing: a fault of that case, which may be left out
    check_has(dataset, recipe)
