"""Masks of a method that was trained elsewhere stand beside trained arms."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from tfseg.cli import train
from tfseg.cli.datasets import Source
from tfseg.comparison.contestants import add_contestants, with_contestants
from tfseg.comparison.study import load_study
from tfseg.core.errors import ConfigError, DataError, RunError
from tfseg.runs.folder import open_prepared


@pytest.fixture(scope="module")
def joined(compared, scans, tmp_path_factory):
    """A finished comparison with an oracle: masks that are the truth, one of them stored in another order."""
    folder = tmp_path_factory.mktemp("joined")
    out = shutil.copytree(compared[0], folder / "cmp")
    masks = shutil.copytree(scans / "labelsTr", folder / "masks")
    first = sorted(masks.glob("*.nii.gz"))[0]
    turned = nib.load(first).as_reoriented(np.array([[2, 1], [0, -1], [1, 1]]))
    nib.save(turned, folder / "turned.nii.gz")
    shutil.move(folder / "turned.nii.gz", first)
    settings = ["model.filters=2", "model.depth=1", "training.epochs=2", "training.batch_size=6", "folds=2"]
    study = load_study(None, None, settings, "dice,ce", None)
    with pytest.raises(RunError, match="2 of 8 networks failed"):  # an arm of the comparison cannot be trained
        train.compare(study, Source(data=scans), out, None, None, "tfseg compare", False, {"oracle": masks})
    return out, masks


def test_a_contestant_is_scored_under_every_seed_and_compared(joined, read_page):
    out, _ = joined
    scores = pd.read_csv(out / "scores.csv", keep_default_na=False)
    oracle, dice = (scores[scores["arm"] == arm].reset_index(drop=True) for arm in ("oracle", "dice"))
    keys = ["seed", "fold", "subject", "case"]
    assert set(map(tuple, oracle[keys].to_numpy())) == set(map(tuple, dice[keys].to_numpy()))
    assert set(oracle.loc[oracle["metric"] == "dice", "value"]) <= {"1.0", ""}
    verdicts = pd.read_csv(out / "verdicts.csv")
    primary = verdicts[(verdicts["role"] == "primary") & (verdicts["second"] == "oracle")]
    assert (primary["difference"] < -0.1).all()
    page = read_page((out / "report.html").read_text())
    assert "Nothing is known of how oracle was trained" in page.text
    assert "oracle" in {row[0] for row in page.tables[0]}


def test_names_and_cases_must_be_clear(joined, compared, tmp_path):
    out, masks = joined
    run = next(path for path in (out / "runs").iterdir() if (path / "scores.csv").is_file())
    prepared = open_prepared(run)
    for name, arms in (("dice", ["dice"]), ("oracle", [])):
        other = shutil.copytree(masks, tmp_path / name)
        with pytest.raises(ConfigError, match=f"the comparison has another {name}"):
            add_contestants(out, {name: other}, arms, prepared, prepared.subjects, 1.0)
    lacking = shutil.copytree(masks, tmp_path / "lacking")
    next(lacking.glob("*.nii.gz")).unlink()
    with pytest.raises(DataError, match="no label map of"):
        add_contestants(tmp_path, {"new": lacking}, [], prepared, prepared.subjects, 1.0)
    assert json.loads((out / "contestants.json").read_text()).keys() == {"oracle"}
    scores = pd.DataFrame({"seed": [0], "fold": [1], "subject": ["a"], "value": [0.5]})
    pd.testing.assert_frame_equal(with_contestants(scores, Path(tmp_path / "none")), scores)
