"""The configurations, studies and recipes of the project are valid and say what they do."""

import importlib.util
import itertools
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import nibabel as nib
import numpy as np
import pytest
import yaml

from tfseg.cli.tuned import Tuning
from tfseg.comparison.printed import read_printed
from tfseg.comparison.study import load_study
from tfseg.comparison.tuned import Budget
from tfseg.config.config import Config, load_config
from tfseg.config.yaml_files import read_yaml_chain
from tfseg.core.modes import Mode, Scale
from tfseg.datasets.layouts import Dataset, read_dataset
from tfseg.losses import LOSSES
from tfseg.preparation.prepare import prepare_dataset
from tfseg.preparation.recipe import load_recipe, resolve
from tfseg.prepared.prepared import Prepared
from tfseg.training.fit import make_loss
from tfseg.tuning.checks import check_space
from tfseg.tuning.proposals import resolve_search
from tfseg.tuning.space import read_space
from tfseg.tuning.trials import depends_on_length

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "configs").rglob("*.yaml"))
STUDIES = [path for path in FILES if {"losses", "arms"} & read_yaml_chain(path).keys()]
CONFIGS = [path for path in FILES if path not in STUDIES]
SPACES = sorted(path for path in (ROOT / "tuning").glob("*.yaml") if path.stem not in ("cluster", "constant_rate"))
RECIPES = sorted((ROOT / "data_prep").glob("*.yaml"))


def test_base_spells_every_default():
    assert yaml.safe_load((ROOT / "configs/base.yaml").read_text()) == Config().model_dump(mode="json")


def test_a_config_makes_its_loss_and_opens_with_its_command():
    assert CONFIGS
    for path in CONFIGS:
        config = load_config(path)
        make_loss(config)
        assert path.read_text().startswith("# tfseg fit --config configs/"), path
        if path.stem in LOSSES:
            assert config.loss["name"] == path.stem


def test_a_study_is_valid_and_opens_with_its_command():
    assert STUDIES
    for path in STUDIES:
        study = load_study(path, None, [], None, None)
        assert len(study.arms) >= 2, path
        assert path.read_text().startswith(f"# tfseg compare --study {path.relative_to(ROOT)}"), path
        if study.protocol.recipe:
            load_recipe(study.protocol.recipe)


def test_a_published_study_has_both_modes_both_scales_and_its_printed_numbers():
    published = [path for path in STUDIES if path.parent.name != "studies"]
    assert {path.parent.name for path in published} == {
        "kethavath_2025",
        "neyestanak_2025",
        "kim_2025",
        "he_2024",
        "bonbid_hie_2025",
    }
    for path in published:
        for mode, scale in itertools.product(Mode, Scale):
            study = load_study(path, None, [], None, None, mode, scale)
            assert (study.seeds == 1) == (mode is Mode.as_printed or scale is Scale.small), path
            assert study.config.training.patience is None or mode is Mode.as_printed, path
            assert study.config.select_on == "validation" or mode is Mode.as_printed, path
            assert load_recipe(study.protocol.recipe) and study.protocol.phantoms, path
        if study.protocol.printed:
            printed = read_printed(*study.protocol.printed)
            assert {arm.name for arm in study.arms} <= set(printed["arm"]), path


def test_a_space_is_valid_for_the_loss_of_its_command():
    assert len(SPACES) == 7
    for path in SPACES:
        command, space = path.read_text().splitlines()[0], read_space(path)
        assert f"--space {path.relative_to(ROOT)}" in command, path
        if command.startswith("# tfseg compare"):
            names = command.split("--losses ")[1].split()[0].split(",")
            tuning = Tuning(Budget(12, yaml.safe_load(path.read_text())))
            for name in names:
                tuning.of_arm(name, load_config(None, [f"loss={name}"]))
        else:
            words = command.split()
            base = ROOT / words[words.index("--config") + 1] if "--config" in words else None
            config = load_config(base, [f"loss={words[words.index('--loss') + 1]}"])
            check_space(space, config)
            resolve_search(space.search, space, config)


def test_the_cluster_asks_for_a_token_and_launches_its_workers():
    cluster = yaml.safe_load((ROOT / "tuning/cluster.yaml").read_text())
    ray = Path(importlib.util.find_spec("ray").origin).parent
    jsonschema.validate(cluster, json.loads((ray / "autoscaler/ray-schema.json").read_text()))
    starts = [cluster[f"{kind}_start_ray_commands"][-1] for kind in ("head", "worker")]
    for start in starts:
        assert start.startswith(
            "RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 RAY_worker_niceness=0 ~/tfseg/bin/ray start"
        )
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in starts[0], "without it, Ray launches no worker"


def test_neyestanak_2025_is_searched_as_printed():
    """Thirty trials for the focal and the Tversky loss, read from five trainings under a constant rate."""
    config = load_config(ROOT / "tuning/constant_rate.yaml", ["loss=focal"])
    for name, trials in (("focal_alpha_epochs", 30), ("tversky_alpha_epochs", 30), ("dice_epochs", 6)):
        space = read_space(ROOT / f"tuning/{name}.yaml")
        points = list(space.points(config))
        assert len(points) == trials and space.search.watch == "val_iou"
        assert [point["training.epochs"] for point in points][:: trials // 6] == [5, 10, 15, 20, 25, 30]
    assert depends_on_length(config) is None


def test_every_loss_is_made_from_its_name_under_the_default_training():
    for name in LOSSES:
        assert type(make_loss(load_config(ROOT / "configs/base.yaml", [f"loss={name}"]))) is LOSSES[name]


def test_kethavath_2025_is_its_protocol():
    training = load_config(ROOT / "configs/kethavath_2025/dice.yaml").training
    assert (training.learning_rate, training.epochs) == (0.01, 20)
    assert (training.schedule.name, training.schedule.every, training.schedule.factor) == ("step", 4, 0.1)


def test_he_2024_looks_in_its_second_stage_where_the_first_was_wrong():
    """Its loss is that of the first, and more on what lies within 2 voxels of a voxel that is segmented wrong."""
    config = load_config(ROOT / "configs/he_2024/two_stages.yaml")
    study = load_study(ROOT / "configs/he_2024/stages.yaml", None, [], None, None)
    assert {arm.name: arm.apply(study.config).stages for arm in study.arms}["global then total"] == config.stages
    first, second = (make_loss(stage) for stage in config.resolved_stages())
    assert (config.model.depth, config.model.doublings, config.model.deep_supervision) == (5, 3, 4)
    truth = np.zeros((1, 9, 9, 9, 1), np.uint8)
    truth[:, :, :, 5:] = 1
    right = np.where(truth == [0, 1], 0.8, 0.2).astype("float32")
    assert float(second(truth, right)) == pytest.approx(float(first(truth, right)))
    wrong = right.copy()
    wrong[0, 4, 4, 2] = (0.2, 0.8)

    def extra(voxel):
        """How much more the second stage's loss changes than the first's, if a voxel becomes less certain."""
        other = wrong.copy()
        other[0, *voxel] = 0.7 * wrong[0, *voxel] + 0.15
        changes = [float(loss(truth, other)) - float(loss(truth, wrong)) for loss in (first, second)]
        return abs(changes[1] - changes[0])

    assert min(extra((4, 4, 2)), extra((4, 4, 4)), extra((3, 3, 3))) > 1e-3
    assert max(extra((4, 4, 5)), extra((4, 8, 2)), extra((0, 0, 0))) < 1e-5


def test_a_recipe_is_valid_and_opens_with_its_command():
    assert RECIPES
    for path in RECIPES:
        load_recipe(path)
        assert f"--recipe {path.relative_to(ROOT)}" in path.read_text().splitlines()[0], path


def one_case(shared, tmp_path, name) -> Dataset:
    """A dataset of one real case: the first of a folder, or the CT, listed in a manifest."""
    data = shared / "data" / name
    if name == "ct":
        files = (data / "abdomen_3mm_part.nii.gz", data / "abdomen_3mm_part_labels.nii.gz")
        (tmp_path / "manifest.csv").write_text(f"subject,image,label\n1,{files[0]},{files[1]}\n")
        return read_dataset(tmp_path)
    dataset = read_dataset(data)
    return replace(dataset, cases=dataset.cases[:1])


# Which recipe fits which real scans, the pixels of its slices, and what share of which body labels are at most.
REAL = [
    ("brats_regions", "brats", (144, 192), "body", 0.1),
    ("hippocampus", "hippocampus", (64, 48), "nonzero", 0.1),
    ("kethavath_2025_mr", "hippocampus", (48, 64), "nonzero", 0.1),
    ("he_2024_dhcp", "hippocampus", (48, 64), "nonzero", 0.1),
    ("abdomen_ct", "ct", (128, 96), "body", 0.5),
    ("kethavath_2025_ct", "ct", (128, 112), "body", 0.5),
]


@pytest.mark.parametrize(("recipe", "name", "size", "body", "most"), REAL, ids=[f"{r[0]}-{r[1]}" for r in REAL])
def test_recipe_prepares_a_real_case(shared, tmp_path, recipe, name, size, body, most):
    dataset = one_case(shared, tmp_path, name)
    resolved = resolve(load_recipe(ROOT / "data_prep" / f"{recipe}.yaml"), dataset)
    prepare_dataset(dataset, resolved, tmp_path / "out")
    prepared = Prepared(tmp_path / "out")
    case = prepared.case(dataset.cases[0].name)
    assert prepared.image_shape == (*size, len(dataset.channels))
    assert case.image.shape[1:] == prepared.image_shape and np.isfinite(case.image).all() and np.ptp(case.image) > 0
    stored = np.asanyarray(nib.load(dataset.cases[0].label).dataobj)
    np.testing.assert_array_equal(case.label_volume(prepared.labels), stored)
    row = prepared.index.iloc[0]
    assert row["body"] == body
    assert 0 < sum(row[f"ratio_{label}"] for label in prepared.labels.values()) < most
