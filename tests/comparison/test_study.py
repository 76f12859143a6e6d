"""What a study says, from a file and from the command line, and how it grows."""

import pytest
import yaml

from tfseg.comparison.study import Study, load_study
from tfseg.config.config import Config
from tfseg.core.errors import ConfigError


def write(path, text):
    path.write_text(text)
    return path


def test_losses_of_the_command_line():
    study = load_study(None, None, ["training.epochs=3"], "dice,tversky:alpha=0.3,beta=0.7,bce", 2)
    assert study.titles == ["dice", "tversky:alpha=0.3,beta=0.7", "bce"]
    assert (study.seeds, study.config.training.epochs) == (2, 3)


def test_a_file_holds_losses_seeds_and_a_configuration(tmp_path):
    write(tmp_path / "base.yaml", "training: {epochs: 9, batch_size: 4}\nlosses: [focal]\n")
    text = """
    base: base.yaml
    losses: [dice, {name: tversky, alpha: 0.3}, {sum: [{name: dice, weight: 0.9}, {name: bce, weight: 0.1}]}]
    seeds: 3
    seed: 5
    training: {epochs: 7}
    """
    study = load_study(write(tmp_path / "study.yaml", text), None, [], None, None)
    assert study.titles == ["dice", "tversky:alpha=0.3", "0.9·dice + 0.1·bce"]
    assert (study.config.training.epochs, study.config.training.batch_size) == (7, 4)
    assert list(study.runs()) == [
        f"{loss}_s{seed}" for seed in (5, 6, 7) for loss in ("dice", "tversky_alpha=0.3", "0.9_dice_0.1_bce")
    ]
    run = study.runs()["tversky_alpha=0.3_s6"]
    assert (run.loss, run.seed) == ({"name": "tversky", "alpha": 0.3}, 6)


def test_the_command_line_goes_before_the_file(tmp_path):
    path = write(tmp_path / "study.yaml", "losses: [dice, bce]\nseeds: 3\n")
    study = load_study(path, None, [], "focal,ce", 1)
    assert (study.titles, study.seeds) == (["focal", "ce"], 1)


def test_runs_differ_in_loss_and_seed_alone():
    study = Study(Config(), ({"name": "dice"}, {"name": "bce"}), 2)
    shared = {
        yaml.safe_dump(config.model_dump(mode="json", exclude={"loss", "seed"})) for config in study.runs().values()
    }
    assert len(shared) == 1
    assert "loss" not in yaml.safe_load(study.shared_yaml())


def test_what_was_compared_before_stays(tmp_path):
    Study(Config(), ({"name": "dice"}, {"name": "bce"}), 2).write(tmp_path / "study.yaml")
    joined = Study(Config(), ({"name": "focal"}, {"name": "dice"}), 1).joined_to(tmp_path / "study.yaml")
    assert joined.titles == ["dice", "bce", "focal"]
    assert joined.seeds == 2
    assert Study(Config(), (), 1).joined_to(tmp_path / "nothing.yaml").losses == ()


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ("dice,dise", "losses: no loss is called 'dise'; did you mean dice"),
        ("dice,tversky:alfa=1", "the loss tversky has no parameter 'alfa'"),
        ("dice,tversky:alpha=-1", "alpha"),
        ("dice,bce,dice", "losses: dice is there 2 times"),
        ("dice,a=1,,", "--losses"),
    ],
)
def test_wrong_losses(listed, message):
    with pytest.raises(ConfigError, match=message):
        load_study(None, None, [], listed, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("losses: dice", "losses: expected a list, received 'dice'"),
        ("losses: [3]", "expected a name, a mapping with name, or a sum; received 3"),
        ("losses: ['a=1']", "losses: expected a name"),
        ("losses: [dice, bce]\nseeds: 0", "seeds: expected a whole number of at least 1, received 0"),
        ("losses: [dice, bce]\nseeds: many", "received 'many'"),
        ("losses: [dice, bce]\nstages: [{}, {loss: {name: ce}}]", r"stages\.1\.loss: would take the place"),
        ("losses: [dice, bce]\ntrainin: {}", "unknown key trainin; did you mean training"),
    ],
)
def test_wrong_files(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load_study(write(tmp_path / "study.yaml", text), None, [], None, None)


def test_a_study_holds_its_configuration(tmp_path):
    path = write(tmp_path / "study.yaml", "losses: [dice, bce]")
    with pytest.raises(ConfigError, match="leave out --config"):
        load_study(path, path, [], None, None)


def test_losses_whose_folders_would_be_one():
    part = {"name": "dice", "weight": 0.5}
    losses = ({"sum": [part, "bce"]}, {"sum": [part, {"name": "bce", "weight": 1}]})
    with pytest.raises(ConfigError, match="times"):
        Study(Config(), (losses[0], losses[0]))
    assert len(Study(Config(), losses).runs()) == 2
