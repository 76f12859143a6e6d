"""The configurations and recipes that come with the project hold what they say."""

from pathlib import Path

import pytest
import yaml

from tfseg.comparison.study import load_study
from tfseg.config import Config, load_config
from tfseg.data.recipe import load_recipe
from tfseg.losses import LOSSES
from tfseg.training.fit import make_loss

ROOT = Path(__file__).parents[1]
STUDIES = sorted((ROOT / "configs/studies").glob("*.yaml"))
CONFIGS = sorted(set((ROOT / "configs").rglob("*.yaml")) - set(STUDIES))
RECIPES = sorted((ROOT / "data_prep").glob("*.yaml"))


def relative(path):
    return str(path.relative_to(ROOT))


def test_base_spells_every_default():
    assert yaml.safe_load((ROOT / "configs/base.yaml").read_text()) == Config().model_dump(mode="json")


@pytest.mark.parametrize("path", CONFIGS, ids=relative)
def test_config_makes_its_loss_and_opens_with_its_command(path):
    config = load_config(path)
    make_loss(config)
    assert path.read_text().startswith("# tfseg fit --config configs/")
    if path.stem in LOSSES:
        assert config.loss["name"] == path.stem


@pytest.mark.parametrize("path", STUDIES, ids=relative)
def test_study_is_valid_and_opens_with_its_command(path):
    study = load_study(path, None, [], None, None)
    assert len(study.losses) >= 2
    assert path.read_text().startswith(f"# tfseg compare --study {path.relative_to(ROOT)}")


def test_every_loss_has_a_leaf():
    assert set(LOSSES) <= {path.stem for path in (ROOT / "configs").glob("*.yaml")}


def test_kethavath_2025_is_its_protocol():
    training = load_config(ROOT / "configs/kethavath_2025/dice.yaml").training
    assert (training.learning_rate, training.epochs) == (0.01, 20)
    assert (training.schedule.name, training.schedule.every, training.schedule.factor) == ("step", 4, 0.1)


@pytest.mark.parametrize("path", RECIPES, ids=relative)
def test_recipe_is_valid_and_opens_with_its_command(path):
    load_recipe(path)
    assert f"--recipe {path.relative_to(ROOT)}" in path.read_text().splitlines()[0]
