"""The input of a network follows from the configuration and the prepared folder."""

import numpy as np
import pytest

from tfseg.config.config import load_config
from tfseg.core.errors import ConfigError
from tfseg.prepared.inputs import caution_about_spacing, check_input, input_shape, make_batches, steps_per_epoch
from tfseg.prepared.stored import Neighbouring

KINDS = ("{kind: slices}", "{kind: patches, patch: [4, 16, 24], per_case: 5}", "{kind: volumes}")


def training_of(text, *more):
    model = "unet_2d" if "slices" in text else "unet_3d"
    return load_config(None, [f"model.name={model}", f"training.input={text}", "training.batch_size=4", *more]).training


def test_each_kind_has_its_shape_and_its_steps(prepared):
    shapes = {text: input_shape(training_of(text).input, prepared) for text in KINDS}
    assert list(shapes.values()) == [(32, 32, 1), (4, 16, 24, 1), (6, 32, 32, 1)]
    for text, shape in shapes.items():
        for steps in ("null", "3"):
            training = training_of(text, f"training.steps_per_epoch={steps}")
            batches = make_batches(training, prepared, ["case_0", "case_3"], seed=0)
            assert batches.shapes[0] == (4, *shape)
            assert batches.steps_per_epoch == steps_per_epoch(training, prepared, ["case_0", "case_3"])
    assert [steps_per_epoch(training_of(text), prepared, ["case_0", "case_3"]) for text in KINDS] == [3, 3, 1]


def test_slices_are_seen_with_their_neighbours(prepared):
    training = training_of("{kind: slices, neighbours: 2}")
    assert input_shape(training.input, prepared) == (32, 32, 5)
    batches = make_batches(training, prepared, prepared.subjects, seed=0)
    plain = make_batches(training_of("{kind: slices}"), prepared, prepared.subjects, seed=0)
    assert batches.shapes[0] == (4, 32, 32, 5)
    batch = batches.plan(0)[0]
    np.testing.assert_array_equal(batch, plain.plan(0)[0])
    (images, truths), (own, same) = batches.load(batch), plain.load(batch)
    np.testing.assert_array_equal(images[..., 2:3], own)
    np.testing.assert_array_equal(truths, same)
    for image, (number, index) in zip(images, batch, strict=True):
        case = prepared.case(batches.case_names[number])
        np.testing.assert_array_equal(image, Neighbouring(case.image, 2)[index : index + 1][0])


def test_neighbours_belong_to_slices_of_volumes(prepared, monkeypatch):
    with pytest.raises(ConfigError, match="neighbours belong to slices; expected 0 with volumes, received 1"):
        training_of("{kind: volumes, neighbours: 1}")
    monkeypatch.setattr(prepared, "in_pixels", True)
    with pytest.raises(ConfigError, match=r"training\.input\.neighbours: 2D images have none; expected 0, received 1"):
        check_input(training_of("{kind: slices, neighbours: 1}"), prepared)


def test_a_patch_larger_than_the_largest_volume_is_refused(prepared):
    check_input(training_of("{kind: patches, patch: [16, 32, 32]}"), prepared)  # six slices, padded
    for patch in ("[17, 32, 32]", "[6, 33, 32]", "[6, 32, 40]"):
        with pytest.raises(ConfigError, match=r"training.input.patch: expected at most \[16, 32, 32\].*received \["):
            check_input(training_of(f"{{kind: patches, patch: {patch}}}"), prepared)


def test_slices_at_different_distances_are_reported_to_3d_networks(prepared, monkeypatch):
    assert caution_about_spacing(prepared) == ""
    monkeypatch.setattr(prepared, "spacings_mm", np.array([[3, 1, 1], [3.1, 1, 1]]))
    assert caution_about_spacing(prepared) == "", "within 5 %"
    monkeypatch.setattr(prepared, "spacings_mm", np.array([[5, 1, 1], [1.25, 1, 1], [3, 2, 2]]))
    assert caution_about_spacing(prepared).startswith("slices lie 1.25 to 5 mm apart")


def test_a_share_of_foreground_slices_belongs_to_slices():
    with pytest.raises(ConfigError, match=r"foreground_share chooses slices; for patches set input\.centres"):
        load_config(None, ["model.name=unet_3d", "training.input.kind=patches", "training.foreground_share=0.5"])


def test_a_network_of_another_rank_is_refused():
    for settings, message in (
        (["training.input.kind=volumes"], "unet_2d takes slices, but training.input.kind is volumes"),
        (["model.name=unet_3d"], "unet_3d takes patches or volumes, but training.input.kind is slices"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_config(None, settings)


def test_a_stage_cannot_change_what_the_network_sees():
    with pytest.raises(ConfigError, match=r"stages.0.training: input can only be set for the whole training"):
        load_config(None, ["stages=[{training: {input: {kind: volumes}}}]"])
