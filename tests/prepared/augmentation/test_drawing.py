"""The augmentation of an image is drawn by seed and epoch, each step by itself."""

import numpy as np
import pytest

from tfseg.config.augmentation import AugmentationConfig
from tfseg.config.config import load_config
from tfseg.core.errors import ConfigError
from tfseg.prepared.augmentation.drawing import RANGES, draw, parameters_of

EVERY = {"flip": {"axes": ["left_right"]}, **{name: {} for name in RANGES}}


def config_of(**steps):
    return AugmentationConfig.model_validate(steps)


def test_every_step_has_a_range():
    assert {"flip", *RANGES} == set(AugmentationConfig.model_fields)


def test_values_lie_in_their_ranges_and_are_made_as_often_as_asked():
    for rank in (2, 3):
        drawn = draw(config_of(**EVERY), [0], rank, 4000, [0, 3])
        assert drawn["flip"][:, 0].mean() == pytest.approx(0.5, abs=0.03) and not drawn["flip"][:, 1:].any()
        for name, (setting, neutral) in RANGES.items():
            low, high = getattr(getattr(config_of(**EVERY), name), setting)
            values = drawn[name][:, 0] if name == "rotate" else drawn[name]
            made = values != neutral
            assert made.mean() == pytest.approx(0.2, abs=0.03), name
            assert low <= values[made].min() < low + 0.05 * (high - low), name
            assert high - 0.05 * (high - low) < values[made].max() <= high, name
        assert set(drawn["coarse_axis"]) == set(range(rank))
        assert drawn["rotate"][:, 1:].any() == (rank == 3)


def test_what_is_not_named_changes_nothing():
    drawn = draw(AugmentationConfig(), [0, 1], 3, 50, [0])
    assert not drawn["flip"].any() and not drawn["rotate"].any()
    for name in ("scale", "contrast", "anisotropy"):
        assert set(drawn[name]) == {1}
    for name in ("elastic", "bias_field", "brightness", "gamma", "blur", "noise"):
        assert set(drawn[name]) == {0}


def test_a_step_does_not_depend_on_the_others():
    whole, noise = (draw(config_of(**steps), [0], 2, 20, [4, 1]) for steps in (EVERY, {"noise": {}}))
    assert whole["noise"].tolist() == noise["noise"].tolist()
    assert whole["seed"].tolist() == noise["seed"].tolist()
    assert draw(config_of(**EVERY), [0], 2, 20, [4, 1]).tobytes() == whole.tobytes()
    assert draw(config_of(**EVERY), [0], 2, 20, [4, 2]).tobytes() != whole.tobytes()


def test_parameters_fill_whole_numbers_of_eight_bytes():
    for rank in (2, 3):
        drawn = draw(config_of(**EVERY), [0], rank, 7, [0])
        assert parameters_of(rank).itemsize % 8 == 0
        assert drawn.view(np.int64).reshape(7, -1).view(parameters_of(rank))[:, 0].tobytes() == drawn.tobytes()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("rotate={degrees: [15, -15]}", r"training.augmentation.rotate.degrees: .*low <= high; received \[15, -15\]"),
        ("blur={sd_voxels: [-1, 1]}", "training.augmentation.blur.sd_voxels"),
        ("anisotropy={factor: [0.5, 2]}", "training.augmentation.anisotropy.factor"),
        ("noise={probability: 2}", "training.augmentation.noise.probability"),
        ("noize={}", "unknown key training.augmentation.noize; did you mean training.augmentation.noise"),
        ("flip={axes: [up]}", "training.augmentation.flip.axes"),
        ("flip={axes: []}", "training.augmentation.flip.axes"),
    ],
)
def test_a_wrong_step_is_named(setting, message):
    with pytest.raises(ConfigError, match=message):
        load_config(None, [f"training.augmentation.{setting}"])
