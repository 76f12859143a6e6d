"""The order of a grid's cells."""

import json
from pathlib import Path

import pytest

from tfseg.comparison.folder import keep_splits
from tfseg.comparison.grid import make_grid
from tfseg.comparison.study import Arm, Study
from tfseg.config.config import Config
from tfseg.core.errors import ConfigError
from tfseg.datasets.splits import Split

FOLDS = [Split(("a", "b"), ("c",), ("d",)), Split(("c", "d"), ("a",), ("b",))]
SLOW = Arm("slow", {"training": {"learning_rate": 1e-4}})
STUDY = Study(Config(), (Arm.of_loss({"name": "dice"}), SLOW), seeds=2)


def test_every_arm_of_a_fold_comes_before_the_next_fold():
    cells = make_grid(STUDY, {0: FOLDS, 1: FOLDS[::-1]}, Path("cmp"))
    expected = [f"{arm}, seed {seed}, fold {fold}" for seed in (0, 1) for fold in (0, 1) for arm in ("dice", "slow")]
    assert [cell.name for cell in cells] == [f"{number}/8 {name}" for number, name in enumerate(expected, start=1)]
    assert cells[3].folder == Path("cmp/runs/slow_s0/fold_1")
    assert (cells[3].arm, cells[3].config.training.learning_rate) == ("slow", 1e-4)
    assert (cells[3].split, cells[7].split, cells[7].config.seed) == (FOLDS[1], FOLDS[0], 1)


def test_folds_of_new_seeds_join_those_from_before(tmp_path):
    path = tmp_path / "splits.json"
    keep_splits(path, {0: FOLDS})
    keep_splits(path, {0: FOLDS, 1: FOLDS[::-1]})
    kept = json.loads(path.read_text())
    assert list(kept) == ["0", "1"]
    assert kept["1"][0] == {"train": ["c", "d"], "val": ["a"], "test": ["b"]}
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"another splits\.json"):
        keep_splits(path, {0: FOLDS[::-1], 1: FOLDS[::-1]})
    assert path.read_bytes() == before
