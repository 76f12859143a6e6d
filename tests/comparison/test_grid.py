"""The order of a grid's cells."""

from pathlib import Path

from tfseg.comparison.grid import make_grid
from tfseg.comparison.study import Arm, Study
from tfseg.config.config import Config
from tfseg.datasets.splits import Split

FOLDS = [Split(("a", "b"), ("c",), ("d",)), Split(("c", "d"), ("a",), ("b",))]
SLOW = Arm("slow", {"training": {"learning_rate": 1e-4}})
STUDY = Study(Config(), (Arm.of_loss({"name": "dice"}), SLOW), seeds=2)


def test_every_arm_of_a_fold_comes_before_the_next_fold():
    cells = make_grid(STUDY, FOLDS, Path("cmp"))
    expected = [f"{arm}, seed {seed}, fold {fold}" for seed in (0, 1) for fold in (0, 1) for arm in ("dice", "slow")]
    assert [cell.name for cell in cells] == [f"{number}/8 {name}" for number, name in enumerate(expected, start=1)]
    assert cells[3].folder == Path("cmp/runs/slow_s0/fold_1")
    assert (cells[3].arm, cells[3].config.training.learning_rate) == ("slow", 1e-4)
    assert (cells[3].split, cells[7].config.seed) == (FOLDS[1], 1)
