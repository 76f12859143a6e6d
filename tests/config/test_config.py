import pytest
import yaml

from tfseg.config.config import Config, HoldoutConfig, load_config, parse_config
from tfseg.core.errors import ConfigError


@pytest.fixture
def write(tmp_path):
    def write(text, name="config.yaml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def message(path=None, overrides=()):
    """Return the message of a refused configuration, which must be one line."""
    with pytest.raises(ConfigError) as refused:
        load_config(path, overrides)
    text = str(refused.value)
    assert "\n" not in text
    return text


# --- values


def test_defaults():
    config = load_config()
    assert config.loss == {"name": "dice_ce"}
    assert (config.model.name, config.model.filters, config.model.depth) == ("unet_2d", 16, 4)
    assert (config.training.overlap_over, config.training.select_by) == ("batch", "val_dice")
    assert config.training.patience is None
    assert (config.folds, config.seed, config.scoring.tolerance_mm) == (5, 0, 1.0)


def test_an_empty_file_means_the_defaults(write):
    for text in (
        "",
        "# nothing but a comment\n",
        "{}",
    ):
        assert load_config(write(text)) == Config()


def test_a_file_changes_what_it_names_alone(write):
    config = load_config(write("training: {epochs: 3}\nfolds: {scheme: holdout}\nloss: focal\n"))
    assert config.training == Config().training.model_copy(update={"epochs": 3})
    assert config.folds == HoldoutConfig(scheme="holdout", ratio=(7, 2, 1))
    assert config.loss == {"name": "focal"}
    assert config.model == Config().model


def test_a_config_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        load_config().seed = 1


def test_yaml_round_trip(write):
    config = load_config(
        write(
            "loss: {name: tversky, alpha: 0.3, smoothing: 1e-5}\n"
            "model: {dropout: [0.1, 0.25], depth: 3}\n"
            "training: {learning_rate: 1e-5, patience: 4}\n"
            "folds: {scheme: holdout, ratio: [6, 2, 2]}\n"
        )
    )
    assert load_config(write(config.to_yaml(), "again.yaml")) == config


# --- stages


def test_a_stage_changes_the_training_and_keeps_the_rest():
    stages = (
        "stages=[{training: {epochs: 2}}, {loss: bce, training: {schedule: {name: constant}, learning_rate: 1e-4}}]"
    )
    config = load_config(None, [stages, "training.batch_size=3", "seed=4"])
    first, second = config.resolved_stages()
    assert (first.loss, first.training.epochs, first.training.batch_size, first.seed) == ({"name": "dice_ce"}, 2, 3, 4)
    default = Config().training.epochs
    assert (second.loss, second.training.epochs, second.training.learning_rate) == ({"name": "bce"}, default, 1e-4)
    assert second.training.schedule.every == config.training.schedule.every
    assert config.total_epochs == 2 + default
    assert first.stages == ()


def test_a_config_without_stages_is_its_own_only_one():
    config = load_config()
    assert config.resolved_stages() == [config]
    assert config.total_epochs == config.training.epochs


def test_a_training_that_cannot_be_is_refused():
    for override, said in (
        ("stages=[{training: {epoch: 2}}]", "stages.0.training: unknown key epoch; did you mean epochs?"),
        ("stages=[{}, {training: {epochs: 0}}]", "stages.1.training: epochs: Input should be greater than"),
        ("stages=[{training: {threads: 2}}]", "stages.0.training: threads can only be set for the whole training"),
        ("stages=[{lost: dice}]", "stages.0.lost"),
        ("training.weight_decay=1e-3", "weight_decay needs the optimizer adamw or sgd; received adam"),
    ):
        assert said in message(overrides=[override])


# --- bases


def test_a_leaf_changes_its_base_and_the_base_of_that(write):
    write("seed: 1\ntraining: {epochs: 1, batch_size: 2, schedule: {every: 9}}\n", "root.yaml")
    write("base: root.yaml\ntraining: {epochs: 5}\n", "middle.yaml")
    config = load_config(write("base: middle.yaml\ntraining: {schedule: {name: step}}\n"))
    assert config.seed == 1
    assert (config.training.epochs, config.training.batch_size) == (5, 2)
    assert (config.training.schedule.name, config.training.schedule.every) == ("step", 9)


def test_a_base_is_looked_for_beside_the_leaf(write, tmp_path):
    (tmp_path / "leaves").mkdir()
    write("seed: 3\n", "base.yaml")
    assert load_config(write("base: ../base.yaml\n", "leaves/leaf.yaml")).seed == 3


def test_a_loss_is_replaced_whole(write):
    write("loss: {name: tversky, alpha: 0.3, beta: 0.7}\n", "base.yaml")
    leaf = write("base: base.yaml\nloss: {name: focal, gamma: 3}\n")
    assert load_config(leaf).loss == {"name": "focal", "gamma": 3}
    assert load_config(leaf, ["loss={name: dice}"]).loss == {"name": "dice"}


def test_a_loss_without_a_name_changes_the_one_below(write):
    leaf = write("loss: {name: tversky, alpha: 0.3}\n")
    assert load_config(leaf, ["loss.alpha=0.4"]).loss == {"name": "tversky", "alpha": 0.4}


def test_bases_in_a_circle_are_refused(write):
    write("base: config.yaml\n", "other.yaml")
    assert "its own base" in message(write("base: other.yaml\n"))


def test_a_base_that_is_not_there_is_named(write):
    assert "nowhere.yaml" in message(write("base: nowhere.yaml\n"))


# --- overrides


def test_overrides_lie_over_the_file_and_the_last_wins(write):
    overrides = ["training.learning_rate=1e-4", "seed=3", "model.dropout=[0, 0.5]", "seed=4"]
    config = load_config(write("seed: 1\ntraining: {epochs: 2}\n"), overrides)
    assert (config.seed, config.training.epochs, config.training.learning_rate) == (4, 2, 1e-4)
    assert config.model.dropout == (0, 0.5)


def test_an_override_that_is_not_yaml_is_refused():
    assert "seed" in message(overrides=["seed=[1"])


# --- refusals


def test_an_unknown_key_is_refused_with_the_nearest_name():
    for override, hint in (
        ("sead=1", "unknown key sead; did you mean seed?"),
        ("training.epoch=1", "unknown key training.epoch; did you mean training.epochs?"),
        ("training.schedule.warmup=1", "did you mean training.schedule.warmup_epochs?"),
        ("folds={scheme: holdout, ratoi: [1, 1, 1]}", "unknown key folds.ratoi; did you mean folds.ratio?"),
        ("scoring.xyz=1", "unknown key scoring.xyz; known: tolerance_mm"),
        ("seed.x=1", "seed: Input should be a valid integer"),
    ):
        assert hint in message(overrides=[override])


def test_a_value_out_of_range_is_refused_by_its_key():
    for override in (
        "seed=-1",
        f"seed={2**31}",
        "seed=0.5",
        "folds=1",
        "folds=many",
        "folds={scheme: thirds}",
        "training.epochs=0",
        "training.batch_size=0",
        "training.learning_rate=0",
        "training.learning_rate=.nan",
        "training.learning_rate=.inf",
        "training.patience=0",
        "training.select_by=val_hd",
        "training.schedule.factor=1.5",
        "model.depth=8",
        "model.name=unet_4d",
        "model.import=no_function",
        "scoring.tolerance_mm=0",
    ):
        key, _, _ = override.partition("=")
        assert message(overrides=[override]).startswith(f"--set {override}: {key}")


def test_a_refusal_says_where_what_and_what_was_received():
    for override, said in (
        ("model.dropout=[0.1, 2]", "model.dropout.1: Input should be less than 1; received 2"),
        ("folds={scheme: holdout, ratio: [7, 0, 1]}", "folds.ratio.1: Input should be greater than 0; received 0"),
        ("loss={alpha: 1}", "loss needs a name"),
        (
            "stages=[{model: {depth: 3}}]",
            "stages.0: a stage continues with the network of the stage before; model can only be set outside",
        ),
        ("model={import: a.b:c, filters: 3}", "unknown key model.filters; known: import, settings, deep_supervision"),
        ("model.deep_supervision=5", "model: deep_supervision needs as many levels: at most 4, the depth"),
        ("model.pooling=[[1, 2]]", "model: pooling needs factors of 2 axes for each of 4 levels, the depth"),
        ("model={filtres: 3}", "unknown key model.filtres; did you mean model.filters?"),
        ("loss=3", "loss: expected keys and values; received 3"),
        ("model={import: networks}", "model.import: expected package.module:function; received 'networks'"),
        ("model={norm: group, norm_groups: 6}", "model: norm_groups must divide the 16 filters, received 6"),
        ("model.dropout=0.2", "model.dropout: expected a list, such as [1, 2]; received 0.2"),
        ("training.input={kind: patches, patch: [64]}", "training.input.patch: expected 3 values; received [64]"),
        (
            "training.augmentation={rotate: {degrees: [20, -20]}}",
            "training.augmentation.rotate.degrees: a range expects low <= high; received [20, -20]",
        ),
    ):
        assert said in message(overrides=[override])


def test_what_is_not_a_mapping_in_yaml_is_refused_by_its_file(write):
    for text in (
        "[1, 2]",
        "just words",
        "a: [1\nb: 2",
        "--- {}\n--- {}",
        "seed: 1\x00",
    ):
        assert "config.yaml" in message(write(text))


def test_bytes_that_are_not_text_are_refused(tmp_path):
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe\xfa")
    assert "config.yaml" in message(tmp_path / "config.yaml")


def test_yaml_that_makes_python_objects_is_refused(write):
    for tag in (
        "!!python/object/apply:os.getcwd []",
        "!!python/name:os.getcwd",
        "!!python/tuple [1]",
    ):
        assert yaml.unsafe_load(tag) is not None  # it would do something
        assert "not valid YAML" in message(write(f"seed: {tag}\n"))
        assert "not valid YAML" in message(overrides=[f"seed={tag}"])


def test_a_named_network_has_its_own_settings_and_those_beside_its_name():
    config = load_config(None, ["model.dropout=[0, 0.5]", "model={name: unet_2d_light, filters: 4}", "model.norm=none"])
    assert (config.model.depth, config.model.dropout, config.model.filters) == (3, (0.1, 0.3), 4)
    assert (config.model.activation, config.model.norm) == ("leaky_relu", "none")
    assert parse_config(config.to_yaml(), "config.yaml") == config


def test_an_imported_network_replaces_the_named_one():
    config = load_config(None, ["model.depth=2", "model={import: package.module:build, settings: {width: 3}}"])
    assert config.model_dump()["model"] == {
        "import": "package.module:build",
        "settings": {"width": 3},
        "deep_supervision": 1,
    }
    assert parse_config(config.to_yaml(), "config.yaml") == config


def test_a_check_across_keys_names_them_and_nothing_else():
    expected = "model.name: unet_2d takes slices, but training.input.kind is patches"
    with pytest.raises(ConfigError) as refused:
        load_config(None, ["training.input.kind=patches"])
    assert str(refused.value) == f"--set training.input.kind=patches: {expected}"
    expected = "training: weight_decay needs the optimizer adamw or sgd; received adam"
    assert message(overrides=["training.weight_decay=1e-3"]) == f"--set training.weight_decay=1e-3: {expected}"


def test_a_fault_is_blamed_on_what_brought_it(write):
    expected = "training.epochs: Input should be greater than or equal to 1; received 0"
    sound, faulty = (write(f"training: {{epochs: {epochs}}}", f"{epochs}.yaml") for epochs in (3, 0))
    wrong, harmless = "training.epochs=0", "training.learning_rate=0.1"
    assert message(faulty) == message(faulty, [harmless]) == f"{faulty}: {expected}"
    for overrides in ([wrong], [harmless, wrong], [wrong, harmless], ["seed=-1", wrong, "seed=1"]):
        assert message(sound, overrides) == f"--set {wrong}: {expected}"
    assert message(faulty, [wrong]) == f"{faulty}: {expected}"
    assert load_config(faulty, ["training.epochs=5"]).training.epochs == 5
    assert message(sound, ["training.epoch=0"]).startswith("--set training.epoch=0: unknown key training.epoch; did")
    assert message(sound, ["model.name=unet_3d"]).startswith("--set model.name=unet_3d: model.name: unet_3d takes ")


def test_scored_subjects_that_choose_the_epoch_fit_nothing_else():
    assert load_config(None, ["select_on=test", "uncertainty={samples: 2, temperature: none}"]).select_on == "test"
    for setting in ("scoring.postprocess=auto", "uncertainty={samples: 2}"):
        with pytest.raises(ConfigError, match="would be fitted on the subjects that are scored"):
            load_config(None, ["select_on=test", setting])
