"""Preparation that is interrupted, called again, or called for something else."""

import dataclasses
import itertools
import json
import shutil
import signal
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml

from tfseg.core import files
from tfseg.core.errors import ConfigError, DataError
from tfseg.preparation import prepare
from tfseg.preparation.prepare import prepare_dataset
from tfseg.preparation.recipe import Recipe, resolve
from tfseg.prepared.prepared import Prepared


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def modified(folder):
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*")}


class KilledError(BaseException):
    """Stands for the end of the process."""


def kill_after(cases):
    counter = itertools.count(1)

    def on_case():
        if next(counter) == cases:
            raise KilledError

    return on_case


def test_a_finished_folder_is_left_as_it_is(dataset, tmp_path):
    recipe, out = resolve(Recipe(), dataset), tmp_path / "out"
    prepare_dataset(dataset, recipe, out)
    before, times = contents(out), modified(out / "cases")
    prepare_dataset(dataset, recipe, out)
    assert contents(out) == before
    assert modified(out / "cases") == times


def test_an_interrupted_preparation_resumes(dataset, tmp_path):
    recipe, out = resolve(Recipe(), dataset), tmp_path / "out"
    prepare_dataset(dataset, recipe, tmp_path / "whole")
    with pytest.raises(KilledError):
        prepare_dataset(dataset, recipe, out, kill_after(2))
    assert not (out / "index.csv").exists()
    cases = out / "cases"
    assert sorted(path.name for path in cases.iterdir()) == ["case_0", "case_1"]
    times = modified(cases)
    prepare_dataset(dataset, recipe, out)
    assert modified(cases).items() >= times.items()
    assert contents(out) == contents(tmp_path / "whole")


def test_a_case_that_was_half_written_is_prepared_anew(dataset, tmp_path, monkeypatch):
    recipe, out = resolve(Recipe(), dataset), tmp_path / "out"
    prepare_dataset(dataset, recipe, tmp_path / "whole")

    dumps = json.dumps

    def kill(written, **how):
        if "grid" in written:
            raise KilledError
        return dumps(written, **how)

    with monkeypatch.context() as killed:
        killed.setattr(prepare.json, "dumps", kill)
        killed.setattr(shutil, "rmtree", lambda _: None)  # a killed process leaves what it wrote behind
        with pytest.raises(KilledError):
            prepare_dataset(dataset, recipe, out)
    (left,) = (out / "cases").iterdir()
    assert left.name != "case_0"
    assert (left / "image.npy").is_file()
    prepare_dataset(dataset, recipe, out)
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.parametrize("written", [[], ["dataset.json"]])
def test_a_preparation_killed_at_its_very_start_resumes(dataset, tmp_path, written):
    recipe, out = resolve(Recipe(), dataset), tmp_path / "out"
    prepare_dataset(dataset, recipe, tmp_path / "whole")
    out.mkdir()
    for name in written:
        shutil.copy(tmp_path / "whole" / name, out / name)
    (out / f".unfinished-{'recipe.yaml' if written else 'dataset.json'}").write_text("{")
    prepare_dataset(dataset, recipe, out)
    assert contents(out) == contents(tmp_path / "whole")


def test_another_recipe_in_a_folder_is_refused_and_the_folder_left_alone(dataset, tmp_path):
    recipe, out = resolve(Recipe(), dataset), tmp_path / "out"
    prepare_dataset(dataset, recipe, out)
    before, times = contents(out), modified(out)
    with pytest.raises(ConfigError, match=r"out: holds a preparation with another recipe\.yaml"):
        prepare_dataset(dataset, recipe.model_copy(update={"median_kernel": 3}), out)
    assert contents(out) == before
    assert modified(out) == times


def test_other_cases_in_a_folder_are_refused_too(dataset, tmp_path):
    recipe, out = resolve(Recipe(), dataset), tmp_path / "out"
    prepare_dataset(dataset, recipe, out)
    fewer = type(dataset)(dataset.name, dataset.channels, dataset.labels, dataset.cases[:2])
    with pytest.raises(ConfigError, match=r"another dataset\.json"):
        prepare_dataset(fewer, recipe, out)


def test_a_folder_of_something_else_is_refused_and_left_alone(dataset, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="out: holds files that are not a preparation"):
        prepare_dataset(dataset, resolve(Recipe(), dataset), out)
    assert contents(out) == {"thesis.tex": b"years of work"}


def test_the_number_of_processes_does_not_change_a_byte(dataset, tmp_path):
    recipe = resolve(Recipe(median_kernel=3, spacing_mm=(0.7, 1.2, 2)), dataset)
    done = []
    prepare_dataset(dataset, recipe, tmp_path / "one")
    prepare_dataset(dataset, recipe, tmp_path / "two", lambda: done.append(1), processes=2)
    assert len(done) == 3
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_a_case_whose_file_changed_is_prepared_anew_and_no_other(dataset, tmp_path):
    recipe, out = resolve(Recipe(), dataset), tmp_path / "out"
    prepare_dataset(dataset, recipe, out)
    times = modified(out / "cases")
    (path,) = dataset.cases[1].images
    image = nib.load(path)
    nib.save(nib.Nifti1Image(image.get_fdata(dtype=np.float32) ** 2, image.affine), path)
    prepare_dataset(dataset, recipe, out)
    changed = {name for name, time in modified(out / "cases").items() if time != times[name]}
    assert changed == {"case_1", *(f"case_1/{name}" for name in ("image.npy", "label.npy", "case.json"))}
    prepare_dataset(dataset, recipe, tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")


def test_a_folder_whose_case_is_redone_is_not_finished_meanwhile(dataset, tmp_path, monkeypatch):
    recipe, out = resolve(Recipe(), dataset), tmp_path / "out"
    prepare_dataset(dataset, recipe, out)
    nib.save(
        nib.Nifti1Image(np.zeros((5, 4, 8), np.float32), nib.load(*dataset.cases[1].images).affine),
        *dataset.cases[1].images,
    )
    with pytest.raises(DataError, match=r"case_1\.nii\.gz: an empty image, every voxel has the value 0"):
        prepare_dataset(dataset, recipe, out)
    assert not (out / "index.csv").exists()


def test_a_folder_made_before_there_were_more_steps_is_still_its_own(dataset, tmp_path):
    recipe, out = resolve(Recipe(), dataset), tmp_path / "out"
    prepare_dataset(dataset, recipe, out)
    known = (
        "axis",
        "window_hu",
        "skull_strip",
        "skull_strip_channel",
        "median_kernel",
        "scaling",
        "scaling_over",
        "size",
    )
    old = {name: recipe.model_dump(mode="json")[name] for name in known}
    (out / "recipe.yaml").write_text(yaml.safe_dump(old))
    index = pd.read_csv(out / "index.csv").drop(columns=["training_slices", "body", "body_voxels"])
    index.to_csv(out / "index.csv", index=False)
    before = contents(out)
    prepare_dataset(dataset, recipe, out)
    assert contents(out) == before
    assert Prepared(out).slices_of(["case_0", "case_1"]) == 9


def test_a_case_that_was_left_out_is_prepared_once_it_is_mended(dataset, tmp_path):
    recipe, out = resolve(Recipe(), dataset), tmp_path / "out"
    prepare_dataset(dataset, recipe, tmp_path / "whole")
    bad = dataset.cases[1]
    left = dataclasses.replace(dataset, cases=(dataset.cases[0], dataset.cases[2]), left_out={bad: "its file is empty"})
    prepare_dataset(left, recipe, out, skip_bad=True)
    assert Prepared(out).skipped == {"case_1": "its file is empty"}
    prepare_dataset(dataset, recipe, out, skip_bad=True)
    assert Prepared(out).skipped == {}
    prepare_dataset(left, recipe, out, skip_bad=True)
    prepare_dataset(dataset, recipe, out, skip_bad=True)
    assert contents(out / "cases") == contents(tmp_path / "whole" / "cases")
    assert (out / "index.csv").read_bytes() == (tmp_path / "whole" / "index.csv").read_bytes()


SLOW_PREPARATION = """
import sys, time
from pathlib import Path
from tfseg.preparation import prepare
from tfseg.datasets.layouts import read_dataset
from tfseg.preparation.recipe import Recipe, resolve

def slowly(*arguments, seen=prepare.training_slices):
    time.sleep(0.5)  # image and label are written, the rest is not
    return seen(*arguments)

prepare.training_slices = slowly
if __name__ == "__main__":
    dataset = read_dataset(Path(sys.argv[1]))
    recipe = resolve(Recipe(), dataset)
    prepare.prepare_dataset(dataset, recipe, Path(sys.argv[2]), lambda: print("prepared", flush=True), processes=2)
"""


def test_a_preparation_killed_with_its_workers_at_work_resumes(write_scans, scans, tmp_path):
    nine = {f"{name}_{copy}": (np.roll(scan[0], copy), *scan[1:]) for name, scan in scans.items() for copy in range(3)}
    dataset = write_scans(nine)
    recipe, out, script = resolve(Recipe(), dataset), tmp_path / "out", tmp_path / "slow.py"
    script.write_text(SLOW_PREPARATION)
    arguments = [sys.executable, str(script), str(tmp_path / "data"), str(out)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "prepared\n"
        while not any((out / "cases").glob(f"{files.UNFINISHED}*/label.npy")):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        process.stdout.read()  # to the end, which comes when the workers have ended too
    assert process.returncode == -signal.SIGKILL
    assert not (out / "index.csv").exists()
    names = {path.name for path in (out / "cases").iterdir()}
    finished = names & {case.name for case in dataset.cases}
    assert 0 < len(finished) < 9 and names > finished  # one is half written
    times = {name: modified(out / "cases" / name) for name in finished}
    prepare_dataset(dataset, recipe, out)
    assert {name: modified(out / "cases" / name) for name in finished} == times
    prepare_dataset(dataset, recipe, tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")
