import json

import nibabel as nib
import numpy as np
import pytest

from tfseg.core.errors import DataError
from tfseg.datasets.layouts import read_dataset
from tfseg.preparation.prepare import prepare_dataset
from tfseg.preparation.recipe import Recipe, derive, resolve
from tfseg.prepared.prepared import Prepared

SHAPE = (12, 14, 6)


@pytest.fixture
def write(tmp_path):
    """Writes nnU-Net data of the given images by case, one channel."""

    def write(images, channel="T1"):
        for number, (name, image) in enumerate(images.items()):
            label = (np.random.default_rng([number, 1]).random(SHAPE) > 0.5).astype(np.uint8)
            for place, array in ((f"imagesTr/{name}_0000", image), (f"labelsTr/{name}", label)):
                (tmp_path / "data" / place).parent.mkdir(parents=True, exist_ok=True)
                nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "data" / f"{place}.nii.gz")
        description = {"channel_names": {"0": channel}, "labels": {"background": 0, "a": 1}, "file_ending": ".nii.gz"}
        (tmp_path / "data" / "dataset.json").write_text(json.dumps(description))
        return read_dataset(tmp_path / "data")

    return write


def noise(seed, low=0.0, high=1000.0):
    return np.random.default_rng(seed).uniform(low, high, SHAPE).astype(np.float32)


def test_one_scan_under_two_subjects_is_refused_or_left_out(write, tmp_path):
    dataset = write({"a": noise(0), "b": noise(1), "c": noise(0)})
    recipe = resolve(derive(dataset), dataset)
    for _ in range(2):  # a second call, when every case is prepared, refuses as well
        with pytest.raises(DataError, match=r"c_0000\.nii\.gz: the same voxels as .*a_0000\.nii\.gz, of another subj"):
            prepare_dataset(dataset, recipe, tmp_path / "out")
        assert not (tmp_path / "out" / "index.csv").exists()
    assert prepare_dataset(dataset, recipe, tmp_path / "out", skip_bad=True) == []
    prepared = Prepared(tmp_path / "out")
    assert list(prepared.skipped) == ["c"]
    assert "the same voxels as" in prepared.skipped["c"]


def test_a_case_in_other_units_is_named_whatever_the_recipe(write, tmp_path):
    images = {name: noise(seed, -1000, 2000) for seed, name in enumerate("abcd")} | {"e": noise(9, 0, 255)}
    dataset = write(images, channel="CT")
    for number, recipe in enumerate((derive(dataset), Recipe(window_hu=(-100, 240)))):
        (warning,) = prepare_dataset(dataset, resolve(recipe, dataset), tmp_path / f"{number}")
        assert "e_0000.nii.gz: values of " in warning and "are they in other units?" in warning


def test_a_folder_prepared_without_traits_is_read(write, tmp_path):
    dataset = write({"a": noise(0), "b": noise(0)})
    recipe = resolve(derive(dataset), dataset)
    with pytest.raises(DataError, match="the same voxels as"):
        prepare_dataset(dataset, recipe, tmp_path / "out")
    for path in (tmp_path / "out" / "cases").glob("*/case.json"):
        path.write_text(
            json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "traits"})
        )
    assert prepare_dataset(dataset, recipe, tmp_path / "out") == []
