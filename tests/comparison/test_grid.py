"""The grid: its order, what is skipped, and what a failure costs."""

from pathlib import Path

import pytest

from tfseg.comparison import grid
from tfseg.comparison.study import Study
from tfseg.config.config import Config
from tfseg.datasets.splits import Split
from tfseg.training.fit import QUIET

FOLDS = [Split(("a", "b"), ("c",), ("d",)), Split(("c", "d"), ("a",), ("b",))]
STUDY = Study(Config(), ({"name": "dice"}, {"name": "bce"}), seeds=2)


class Heard:
    def __init__(self):
        self.begun, self.before = [], []

    def begin(self, name, steps):
        self.begun.append(name)
        return QUIET

    def skipped(self, name):
        self.before.append(name)


class Slices:
    def slices_of(self, subjects):
        return 10


@pytest.fixture
def train(monkeypatch):
    """Stands in for the training of a cell: writes its last file, or raises what `failing` holds for its loss."""
    failing: dict[str, Exception] = {}

    def run_cell(config, prepared, split, fold, seed, out, strategy, progress):
        if config.loss["name"] in failing:
            raise failing[config.loss["name"]]
        out.mkdir(parents=True, exist_ok=True)
        (out / "scores.csv").write_text(f"{config.loss['name']} {seed} {fold} {split.test}")

    monkeypatch.setattr(grid, "run_cell", run_cell)
    return failing


def run(out: Path) -> tuple[dict[str, str], Heard]:
    heard = Heard()
    return grid.run_grid(grid.make_grid(STUDY, FOLDS, out), Slices(), None, heard), heard


def test_every_loss_of_a_fold_comes_before_the_next_fold():
    cells = grid.make_grid(STUDY, FOLDS, Path("cmp"))
    assert [cell.name for cell in cells] == [
        f"{loss}, seed {seed}, fold {fold}" for seed in (0, 1) for fold in (0, 1) for loss in ("dice", "bce")
    ]
    assert cells[3].folder == Path("cmp/runs/bce_s0/fold_1")
    assert (cells[3].split, cells[7].config.seed) == (FOLDS[1], 1)


def test_a_grid_that_was_stopped_goes_on(tmp_path, train):
    failed, heard = run(tmp_path)
    assert failed == {} and len(heard.begun) == 8
    (tmp_path / "runs" / "bce_s1" / "fold_0" / "scores.csv").unlink()
    (tmp_path / "runs" / "bce_s1" / "fold_1" / "checkpoint").mkdir()
    failed, heard = run(tmp_path)
    assert heard.begun == ["6/8 bce, seed 1, fold 0"]
    assert len(heard.before) == 7
    assert not list(tmp_path.rglob("checkpoint"))


def test_a_failure_does_not_keep_the_others_from_their_work(tmp_path, train):
    train["bce"] = FloatingPointError("the loss is\n nan")
    failed, heard = run(tmp_path)
    assert failed == {f"bce, seed {seed}, fold {fold}": "the loss is nan" for seed in (0, 1) for fold in (0, 1)}
    assert len(heard.begun) == 8
    assert (tmp_path / "runs" / "bce_s0" / "fold_0" / grid.FAILURE).is_file()
    train.clear()
    failed, heard = run(tmp_path)
    assert failed == {} and len(heard.begun) == 4
    assert not list(tmp_path.rglob(grid.FAILURE))


def test_a_folder_that_cannot_be_written_stops_the_grid(tmp_path, train):
    train["dice"] = OSError("no space left")
    with pytest.raises(OSError, match="no space left"):
        run(tmp_path)
