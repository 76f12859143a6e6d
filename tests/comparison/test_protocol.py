"""A study file says whose rules it follows, on what data, at which scale."""

from pathlib import Path

import pytest

from tfseg.cli.datasets import Source, follow
from tfseg.comparison.study import load_study
from tfseg.core.errors import ConfigError
from tfseg.core.modes import Mode, Scale
from tfseg.datasets.phantoms.stand_ins import STAND_INS, StandIn

STUDY = """
losses: [dice, bce]
recipe: recipe.yaml
subject_pattern: '(\\d+)'
phantoms: {kind: abdomen, subjects: 9, size: 40}
training: {epochs: 20}
as_printed: {seeds: 1, select_on: test, training: {patience: 5}}
small: {subjects: 6, training: {epochs: 2}, phantoms: {size: 32}}
"""


@pytest.fixture
def study(tmp_path) -> Path:
    (tmp_path / "recipe.yaml").write_text("axis: axial\n")
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path / "study.yaml"


def load(path, mode=Mode.fair, scale=Scale.full, *overrides):
    return load_study(path, None, overrides, None, None, mode, scale)


def test_a_mode_and_a_scale_change_what_they_name(study):
    fair, printed = load(study), load(study, Mode.as_printed)
    assert (fair.seeds, fair.config.select_on, fair.config.training.patience) == (None, "validation", None)
    assert (printed.seeds, printed.config.select_on, printed.config.training.patience) == (1, "test", 5)
    both = load(study, Mode.as_printed, Scale.small, "training.patience=3")
    assert (both.config.training.epochs, both.config.training.patience, both.seeds) == (2, 3, 1)
    assert (fair.protocol.subjects, both.protocol.subjects) == (None, 6)
    assert both.protocol.phantoms == StandIn("abdomen", 9, 32)


def test_the_command_line_takes_precedence_over_what_a_study_says_of_its_data(study, tmp_path):
    protocol = load(study, scale=Scale.small).protocol
    source = follow(Source(), protocol)
    assert (source.recipe, source.subject_pattern, source.subjects) == (tmp_path / "recipe.yaml", r"(\d+)", 6)
    assert source.phantoms == StandIn("abdomen", 9, 32)
    assert follow(Source(data=Path("scans")), protocol).phantoms is None
    own = follow(Source(phantoms=STAND_INS["head"], recipe=Path("mine.yaml")), protocol)
    assert (own.recipe, own.phantoms) == (Path("mine.yaml"), STAND_INS["head"])
    with pytest.raises(ConfigError, match="--prepared holds all subjects"):
        follow(Source(prepared=Path("prepared")), protocol)


def test_a_comparison_keeps_to_its_mode_and_scale(study, tmp_path):
    """Whoever adds a loss to it without its study would take away the mark that its scores flatter."""
    more = load_study(None, None, [], "focal", 1)
    load(study).write(tmp_path / "fair.yaml")
    load(study, Mode.as_printed).write(tmp_path / "printed.yaml")
    assert len(more.joined_to(tmp_path / "fair.yaml").arms) == 3
    for other, path in (
        (load(study, scale=Scale.small), "fair.yaml"),
        (load(study), "printed.yaml"),
        (more, "printed.yaml"),
    ):
        with pytest.raises(ConfigError, match="another --mode or --scale"):
            other.joined_to(tmp_path / path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("recipe: none.yaml", "recipe: expected a file, found none"),
        ("printed: {file: printed.csv}", "printed: expected file and setting"),
        ("phantoms: {kind: abdomen}", "phantoms: expected kind, subjects, size"),
        ("subjects: 0", "subjects: expected a whole number of at least 1, received 0"),
        ("subject_pattern: 3", "subject_pattern: expected a regular expression"),
        ("small: [1]", "small: expected a mapping"),
    ],
)
def test_wrong_protocols(tmp_path, line, message):
    (tmp_path / "study.yaml").write_text(f"losses: [dice, bce]\n{line}\n")
    with pytest.raises(ConfigError, match=message):
        load(tmp_path / "study.yaml")


def test_a_mode_or_scale_that_a_study_lacks(tmp_path):
    (tmp_path / "study.yaml").write_text("losses: [dice, bce]\n")
    for mode, scale in ((Mode.as_printed, Scale.full), (Mode.fair, Scale.small)):
        with pytest.raises(ConfigError, match="has no settings for it"):
            load(tmp_path / "study.yaml", mode, scale)
        with pytest.raises(ConfigError, match="choose among the settings of a --study"):
            load_study(None, None, [], "dice,bce", None, mode, scale)
