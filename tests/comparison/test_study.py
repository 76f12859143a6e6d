"""A study is read from a file and the command line, and can be extended."""

from dataclasses import replace

import pytest
import yaml

from tfseg.comparison.study import Arm, Study, folder_of, load_study
from tfseg.config.config import Config
from tfseg.core.errors import ConfigError


def write(path, text):
    path.write_text(text)
    return path


def arms(*losses):
    return tuple(Arm.of_loss({"name": loss}) for loss in losses)


def names_of(study):
    return [arm.name for arm in study.arms]


def runs_of(study):
    """Return the configurations by the names of their run folders."""
    return {folder_of(arm, seed): config for seed in study.every_seed for arm, config in study.configs(seed)}


def test_losses_of_the_command_line():
    study = load_study(None, None, ["training.epochs=3"], "dice,tversky:alpha=0.3,beta=0.7,bce", 2)
    assert names_of(study) == ["dice", "tversky:alpha=0.3,beta=0.7", "bce"]
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
    assert names_of(study) == ["dice", "tversky:alpha=0.3", "0.9·dice + 0.1·bce"]
    assert (study.config.training.epochs, study.config.training.batch_size) == (7, 4)
    assert list(runs_of(study)) == [
        f"{loss}_s{seed}" for seed in (5, 6, 7) for loss in ("dice", "tversky_alpha=0.3", "0.9_dice_0.1_bce")
    ]
    run = runs_of(study)["tversky_alpha=0.3_s6"]
    assert (run.loss, run.seed) == ({"name": "tversky", "alpha": 0.3}, 6)


def test_the_command_line_takes_precedence_over_the_file(tmp_path):
    path = write(tmp_path / "study.yaml", "losses: [dice, bce]\nseeds: 3\n")
    study = load_study(path, None, [], "focal,ce", 1)
    assert (names_of(study), study.seeds) == (["focal", "ce"], 1)


def test_three_seeds_unless_set_otherwise_or_as_many_as_there_are(tmp_path):
    study = load_study(None, None, [], "dice,bce", None)
    assert list(study.every_seed) == [0, 1, 2]
    assert list(study.joined_to(tmp_path / "study.yaml").every_seed) == [0, 1, 2]
    load_study(None, None, [], "dice,bce", 1).write(tmp_path / "study.yaml")
    assert list(study.joined_to(tmp_path / "study.yaml").every_seed) == [0]
    assert list(replace(study, seeds=2).joined_to(tmp_path / "study.yaml").every_seed) == [0, 1]


def test_runs_differ_only_in_loss_and_seed():
    study = Study(Config(), arms("dice", "bce"), 2)
    shared = {
        yaml.safe_dump(config.model_dump(mode="json", exclude={"loss", "seed"})) for config in runs_of(study).values()
    }
    assert len(shared) == 1
    assert "loss" not in yaml.safe_load(study.shared_yaml())


def test_earlier_arms_are_kept(tmp_path):
    Study(Config(), arms("dice", "bce"), 2).write(tmp_path / "study.yaml")
    joined = Study(Config(), arms("focal", "dice"), 1).joined_to(tmp_path / "study.yaml")
    assert names_of(joined) == ["dice", "bce", "focal"]
    assert joined.seeds == 2
    assert Study(Config(), (), 1).joined_to(tmp_path / "nothing.yaml").arms == ()


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ("dice,dise", "no loss is called 'dise'; did you mean dice"),
        ("dice,tversky:alfa=1", "the loss tversky has no parameter 'alfa'"),
        ("dice,tversky:alpha=-1", "alpha"),
        ("dice,bce,dice", "arms: dice is given 2 times"),
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
        ("losses: [dice, bce]\nstages: [{}, {loss: {name: ce}}]", r"stages\.1\.loss: would replace the loss of dice"),
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


def test_arms_with_the_same_folder_are_refused():
    part = {"name": "dice", "weight": 0.5}
    first, second = ({"sum": [part, "bce"]}, {"sum": [part, {"name": "bce", "weight": 1}]})
    with pytest.raises(ConfigError, match="times"):
        Study(Config(), (Arm.of_loss(first), Arm.of_loss(first)))
    assert len(runs_of(Study(Config(), (Arm.of_loss(first), Arm.of_loss(second)), 1))) == 2


ARMS = """
losses: [dice]
arms:
  slow: {training: {learning_rate: 0.0003}}
  two stages: {stages: [{training: {epochs: 2}}, {loss: mis_seg_focus}]}
  wide ce: {loss: ce, model: {filters: 32}}
training: {epochs: 5, learning_rate: 0.01}
seeds: 1
"""


def test_an_arm_is_a_name_and_what_it_overrides(tmp_path):
    study = load_study(write(tmp_path / "study.yaml", ARMS), None, [], None, None)
    assert names_of(study) == ["dice", "slow", "two stages", "wide ce"]
    runs = runs_of(study)
    assert list(runs) == ["dice_s0", "slow_s0", "two_stages_s0", "wide_ce_s0"]
    rates = [config.training.learning_rate for config in runs.values()]
    assert rates == [0.01, 0.0003, 0.01, 0.01]
    assert [len(config.stages) for config in runs.values()] == [0, 0, 2, 0]
    assert runs["two_stages_s0"].resolved_stages()[1].loss == {"name": "mis_seg_focus"}
    assert (runs["wide_ce_s0"].loss, runs["wide_ce_s0"].model.filters) == ({"name": "ce"}, 32)
    assert {config.training.epochs for config in runs.values()} == {5}


def test_arms_are_read_back_as_they_were_written(tmp_path):
    study = load_study(write(tmp_path / "mine.yaml", ARMS), None, [], None, None)
    study.write(tmp_path / "study.yaml")
    assert Study(study.config, ()).joined_to(tmp_path / "study.yaml").arms == study.arms
    assert study.joined_to(tmp_path / "study.yaml") == study
    other = Study(study.config, (Arm("slow", {"training": {"learning_rate": 0.1}}),))
    with pytest.raises(ConfigError, match="holds another arm slow; give the new one a name"):
        other.joined_to(tmp_path / "study.yaml")


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ("{a: {seed: 3}}", r"arms\.a\.seed: held equal in a comparison; an arm may change loss, model"),
        ("{a: {training: {threads: 1}}}", r"arms\.a\.training\.threads: held equal"),
        ("{a: {training: {rate: 1}}}", r"arms\.a: unknown key training\.rate; did you mean"),
        ("{a: {loss: dise}}", r"arms\.a: no loss is called 'dise'; did you mean dice"),
        ("{a: {}}", r"arms\.a: expected a mapping of settings to change, received nothing"),
        ("{a: 3}", "arms: expected a mapping of names to settings"),
        ("[a]", "arms: expected a mapping of names to settings"),
        ("{'--': {loss: dice}}", "expected a name with letters or digits"),
    ],
)
def test_wrong_arms(tmp_path, arm, message):
    with pytest.raises(ConfigError, match=message):
        load_study(write(tmp_path / "study.yaml", f"losses: [dice, bce]\narms: {arm}"), None, [], None, None)
