"""The needs of a grid are estimated from a few measured steps."""

import pytest

from tfseg.comparison import estimate
from tfseg.comparison.grid import make_grid
from tfseg.comparison.study import Arm, Study
from tfseg.config.config import load_config
from tfseg.datasets.splits import make_splits

STEP_SECONDS, SLICE_SECONDS, NETWORK_BYTES = {"dice": 0.5, "bce": 0.25}, 0.125, 1000


@pytest.fixture
def measured(monkeypatch):
    """Replace `train`: every step and slice of the last epoch takes a known time; `focal` cannot be trained."""
    seen = []

    def train(config, prepared, split, seed, out, strategy):
        seen.append((config.loss["name"], split.train, split.val, config.training.epochs))
        if config.loss["name"] == "focal":
            raise ValueError("no")
        steps = -(-prepared.slices_of(split.train) // config.training.batch_size)
        train_seconds = STEP_SECONDS[config.loss["name"]] * steps
        validation_seconds = SLICE_SECONDS * prepared.slices_of(split.val)
        text = f"train_seconds,validation_seconds\n99,99\n{train_seconds},{validation_seconds}\n"
        (out / "history.csv").write_text(text)
        (out / "best.keras").write_bytes(bytes(NETWORK_BYTES - len(text)))

    monkeypatch.setattr(estimate, "train", train)
    return seen


def grid_of(prepared, losses, out):
    config = load_config(None, ["training.epochs=10", "training.batch_size=4", "folds=3"])
    study = Study(config, tuple(Arm.of_loss({"name": loss}) for loss in losses), seeds=2)
    return make_grid(study, {seed: make_splits(prepared.subjects, 3, 0) for seed in (0, 1)}, out)


def test_time_grows_with_epochs_steps_and_slices(prepared, measured, tmp_path):
    needed = estimate.estimate(grid_of(prepared, ["dice", "bce"], tmp_path), prepared, None, tmp_path)
    # Six slices per subject; of six subjects 3 train, 1 validates, 2 test: 5 steps per epoch.
    slices = 10 * 6 + 12
    cells = 3 * 2
    assert needed.seconds == pytest.approx(cells * sum(50 * step + slices * SLICE_SECONDS for step in (0.5, 0.25)))
    assert needed.seconds_per_step == STEP_SECONDS
    assert needed.disk_bytes > 2 * cells * NETWORK_BYTES
    assert needed.memory_bytes > 1e8 and needed.free_bytes > 0
    assert [(loss, len(train), len(val), epochs) for loss, train, val, epochs in measured] == [
        ("dice", 1, 1, 2),
        ("bce", 1, 1, 2),
    ]


def test_a_loss_that_cannot_be_measured_counts_as_the_mean_of_the_others(prepared, measured, tmp_path):
    needed = estimate.estimate(grid_of(prepared, ["dice", "focal"], tmp_path), prepared, None, tmp_path)
    only_dice = estimate.estimate(grid_of(prepared, ["dice"], tmp_path), prepared, None, tmp_path)
    assert needed.seconds == pytest.approx(2 * only_dice.seconds)
    assert needed.seconds_per_step == {"dice": 0.5}
    nothing = estimate.estimate(grid_of(prepared, ["focal"], tmp_path), prepared, None, tmp_path)
    assert nothing.seconds_per_step == {}


def test_as_many_arms_are_measured_as_asked_and_stand_for_the_others(prepared, measured, tmp_path):
    grid = grid_of(prepared, ["focal", "dice", "bce"], tmp_path)
    needed = estimate.estimate(grid, prepared, None, tmp_path, arms=1)
    only_dice = estimate.estimate(grid_of(prepared, ["dice"], tmp_path), prepared, None, tmp_path)
    assert needed.seconds == pytest.approx(3 * only_dice.seconds)
    assert needed.seconds_per_step == {"dice": 0.5}
    assert [loss for loss, *_ in measured] == ["focal", "dice", "dice"]


def test_arms_with_the_same_first_stage_are_measured_once(prepared, measured, tmp_path):
    first = {"loss": {"name": "dice"}}
    arms = {"once": [first], "twice": [first, first], "turned": [first, {"loss": {"name": "bce"}}]}
    config = load_config(None, ["training.epochs=10", "training.batch_size=4", "folds=3"])
    study = Study(config, tuple(Arm(name, {"stages": stages}) for name, stages in arms.items()), seeds=1)
    grid = make_grid(study, {0: make_splits(prepared.subjects, 3, 0)}, tmp_path)
    needed = estimate.estimate(grid, prepared, None, tmp_path)
    assert len(measured) == 1
    assert needed.seconds_per_step == dict.fromkeys(arms, STEP_SECONDS["dice"])
