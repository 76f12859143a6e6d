"""Each scan is read once to measure it, and a brain is found once."""

import sys
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tfseg.cli.datasets import Source, prepare
from tfseg.cli.terminal import Terminal
from tfseg.core.errors import ConfigError
from tfseg.datasets.layouts import read_dataset
from tfseg.preparation import prepare as preparing
from tfseg.preparation import survey as measuring
from tfseg.preparation.recipe import Recipe, derive, resolve
from tfseg.preparation.survey import Survey

CASES = 11  # more than are looked at for the modality
# What is above 0 in the image is the mask.
STRIP = """
import shutil, sys
with open(sys.argv[3], "a") as log:
    log.write("run ")
shutil.copyfile(sys.argv[1], sys.argv[2])
"""
opened: Counter[str] | None = None


def _count(event, arguments):
    if opened is not None and event == "open" and isinstance(arguments[0], str | Path):
        path = Path(arguments[0])
        opened[path.name] += path.parent.name == "imagesTr" and path.name.startswith("case_")


sys.addaudithook(_count)


@pytest.fixture
def count_opens():
    """Count how often each image is opened, by its name, while the block runs."""
    global opened
    opened = Counter()
    yield opened
    opened = None


@pytest.fixture
def make_data(make_decathlon, tmp_path):
    """Write scans of 20×18×4 voxels of `tissue` in a volume of `air`; a part of them is labelled."""

    def make(air, tissue, channel="MRI", cases=CASES):
        scans = {}
        for number in range(cases):
            image, label = np.full((40, 40, 8), air, np.float32), np.zeros((40, 40, 8), np.uint8)
            image[10:30, 4:22, 2:6] = np.random.default_rng(number).normal(tissue, 10, (20, 18, 4))
            label[15:20, 8:12, 3:5] = 1
            scans[f"case_{number}"] = nib.Nifti1Image(image, np.eye(4)), nib.Nifti1Image(label, np.eye(4))
        return make_decathlon(tmp_path / "data", scans, {1: "organ"}, [channel])

    return make


@pytest.mark.parametrize(
    ("air", "tissue", "channel", "recipe", "times"),
    [
        (0, 100, "MRI", None, 2),
        (-1000, 100, "CT", None, 2),
        (0, 100, "MRI", "{crop: body}", 2),
        (-1000, 100, "CT", "{crop: body}", 2),
        (0, 100, "MRI", "{scaling: zscore}", 1),
        (-1000, 100, "CT", "{axis: axial, window_hu: [-160, 240], size: [48, 48]}", 1),
    ],
)
def test_voxels_are_read_once_to_measure_and_once_to_prepare(
    make_data, tmp_path, monkeypatch, air, tissue, channel, recipe, times
):
    read = Counter()

    def counted(reader):
        def count(case, *others):
            read[case.name] += 1
            return reader(case, *others)

        return count

    monkeypatch.setattr(measuring, "read_case_image", counted(measuring.read_case_image))
    monkeypatch.setattr(preparing, "read_case", counted(preparing.read_case))
    data = make_data(air, tissue, channel)
    if recipe:
        (tmp_path / "recipe.yaml").write_text(recipe)
    source = Source(data=data, recipe=tmp_path / "recipe.yaml" if recipe else None, workers=1)
    assert len(prepare(data, source, tmp_path / "out", Terminal()).index) == CASES
    assert read == dict.fromkeys((f"case_{number}" for number in range(CASES)), times)


def test_an_image_is_opened_four_times_in_all(make_data, tmp_path, count_opens):
    """To check its header, to measure it, to prepare it, and for its hash."""
    data = make_data(0, 100)
    count_opens.clear()
    prepare(data, Source(data=data, workers=1), tmp_path / "out", Terminal())
    assert +count_opens == {f"case_{number}.nii.gz": 4 for number in range(CASES)}


def test_a_second_run_reads_no_voxels(make_data, tmp_path, count_opens):
    """Each image is opened for its header and its hash; one that was written again is measured again, with the rest."""
    data, out = make_data(-1000, 100, "CT", cases=3), tmp_path / "out"
    names = [f"case_{number}.nii.gz" for number in range(3)]
    source = Source(data=data, workers=1)
    prepare(data, source, out, Terminal())
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    count_opens.clear()
    prepare(data, source, out, Terminal())
    assert +count_opens == dict.fromkeys(names, 2)
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    image = data / "imagesTr" / names[1]
    image.write_bytes(image.read_bytes())
    count_opens.clear()
    prepare(data, source, out, Terminal())
    assert +count_opens == dict.fromkeys(names, 3)


@pytest.mark.parametrize(
    ("file", "replaced", "by"),
    [
        ("recipe.yaml", "median_kernel: 0", "median_kernel: 3"),
        ("completed.json", "median_kernel: 0", "median_kernel: 3"),
    ],
)
def test_a_completed_recipe_that_was_edited_is_refused(make_data, tmp_path, file, replaced, by):
    data, out = make_data(0, 100, cases=3), tmp_path / "out"
    prepare(data, Source(data=data, workers=1), out, Terminal())
    text = (out / file).read_text()
    assert replaced in text
    (out / file).write_text(text.replace(replaced, by))
    with pytest.raises(ConfigError, match=r"out: holds a preparation with another recipe\.yaml"):
        prepare(data, Source(data=data, workers=1), out, Terminal())


def test_a_damaged_kept_recipe_is_completed_anew(make_data, tmp_path, count_opens):
    data, out = make_data(0, 100, cases=3), tmp_path / "out"
    prepare(data, Source(data=data, workers=1), out, Terminal())
    before = (out / "completed.json").read_bytes()
    for text in ("", "[1]", "{", '{"made_from": 1, "recipe": ""}'):
        (out / "completed.json").write_text(text)
        count_opens.clear()
        prepare(data, Source(data=data, workers=1), out, Terminal())
        assert set((+count_opens).values()) == {3}
        assert (out / "completed.json").read_bytes() == before


def test_a_command_runs_once_a_case_and_not_again_in_a_finished_folder(make_data, tmp_path):
    data = make_data(0, 100, cases=3)
    (tmp_path / "strip.py").write_text(STRIP)
    (tmp_path / "recipe.yaml").write_text(
        "{crop: body, skull_strip: command, skull_strip_command: "
        f"'{sys.executable} -S {tmp_path}/strip.py {{image}} {{mask}} {tmp_path}/log'}}"
    )
    source = Source(data=data, recipe=tmp_path / "recipe.yaml", workers=1)
    out = tmp_path / "out"
    prepared = prepare(data, source, out, Terminal())
    assert (tmp_path / "log").read_text().count("run") == 3
    assert set(prepared.index["body_voxels"]) == {20 * 18 * 4}
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    prepare(data, source, out, Terminal())
    assert (tmp_path / "log").read_text().count("run") == 3
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_the_number_of_processes_does_not_change_what_is_measured(make_data):
    dataset = read_dataset(make_data(-1000, 100, "CT", cases=3))
    recipe = Recipe(crop="body", crop_margin_mm=0)
    alone, together = (resolve(recipe, dataset, Survey(dataset, recipe, processes=number)) for number in (1, 2))
    assert alone == together
    assert alone.size == (32, 32)


def test_every_case_that_is_read_is_counted(make_data):
    dataset = read_dataset(make_data(0, 100))
    read = []
    survey = Survey(dataset, Recipe(), lambda: read.append(1))
    assert resolve(derive(dataset, survey), dataset, survey).size == (32, 32)
    assert len(read) == CASES
