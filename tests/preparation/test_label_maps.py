import numpy as np
import pytest

from tfseg.core.errors import ConfigError
from tfseg.preparation.label_maps import IGNORED, clean_up, fuse, has_foreground, plan_labels, to_values, translate
from tfseg.preparation.recipe import Recipe

DECLARED = {1: "pancreas", 2: "cancer", 7: "unsure"}


def recipe(**fields):
    return Recipe.model_validate(fields)


# --- what a recipe does to labels


def test_labels_stay_as_declared_without_a_word():
    plan = plan_labels(DECLARED, Recipe())
    assert (plan.labels, plan.classes) == (DECLARED, {1: 1, 2: 2, 7: 3})
    assert (plan.ignore_label, plan.regions) == (None, {})


def test_labels_are_merged_renamed_and_left_out():
    plan = plan_labels(DECLARED, recipe(labels={"organ": ["cancer", 1]}))
    assert (plan.labels, plan.classes) == ({2: "organ"}, {2: 1, 1: 1})
    assert plan_labels(DECLARED, recipe(labels={"tumour": 2})).labels == {2: "tumour"}


def test_what_is_ignored_is_no_class():
    plan = plan_labels(DECLARED, recipe(ignore=["unsure"]))
    assert plan.labels == {1: "pancreas", 2: "cancer"}
    assert plan.classes == {1: 1, 2: 2, 7: IGNORED}
    assert plan.ignore_label == 7


def test_the_datasets_own_ignore_label_comes_first():
    plan = plan_labels({1: "a", 2: "b"}, recipe(ignore=[2]), ignore_label=3)
    assert (plan.classes, plan.ignore_label) == ({1: 1, 3: IGNORED, 2: IGNORED}, 3)


def test_regions_are_unions_of_labels_after_preparation():
    brats = {1: "necrosis", 2: "oedema", 3: "non_enhancing", 4: "enhancing"}
    fields = {"labels": {"core": [1, 3, 4], "oedema": 2}, "regions": {"whole": ["core", "oedema"], "core": ["core"]}}
    assert plan_labels(brats, recipe(**fields)).regions == {"whole": (1, 2), "core": (1,)}
    assert plan_labels(brats, Recipe(), regions={"whole": (1, 2, 3, 4)}).regions == {"whole": (1, 2, 3, 4)}
    without_core = {"labels": {"oedema": 2}}
    regions = {"whole": (1, 2, 3, 4), "core": (1, 3, 4)}
    assert plan_labels(brats, recipe(**without_core), regions=regions).regions == {"whole": (2,)}
    merged = plan_labels(brats, recipe(labels=fields["labels"]), regions={"whole": (4, 2, 3, 1)})
    assert merged.regions == {"whole": (1, 2)}


def test_values_of_a_second_map_can_be_named():
    fields = {
        "second_map": {"path": "x", "values": {2: 4, 3: 5}},
        "labels": {"skin": 1, "grey": 4, "white": 5},
    }
    plan = plan_labels({1: "skin", 2: "other"}, recipe(**fields))
    assert (plan.labels, plan.classes) == ({1: "skin", 4: "grey", 5: "white"}, {1: 1, 4: 2, 5: 3})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"labels": {"organ": ["liver"]}}, r"labels.organ: expected labels of .*, received 'liver'"),
        ({"labels": {"organ": 9}}, r"labels.organ: expected labels of .*, received 9"),
        ({"labels": {"a": 1, "b": [1, 2]}}, r"labels: expected each label once, .*; \[1\] appear more than once"),
        ({"labels": {"a": 1}, "ignore": ["pancreas"]}, r"\[1\] appear more than once"),
        ({"labels": {}}, "labels and regions: expected 1 to 254, none called mean, received"),
        ({"labels": {"mean": 1}}, r"none called mean, received \['mean'\]"),
        ({"regions": {"mean": ["pancreas"]}}, r"none called mean, received .*'mean'"),
        ({"ignore": ["artefact"]}, "ignore: expected labels of"),
        ({"regions": {"whole": ["pancreas", "liver"]}}, "regions and clean-up: .* received 'liver'"),
        ({"largest_component": ["liver"]}, "regions and clean-up: .* received 'liver'"),
        ({"labels": {"organ": [1, 2]}, "min_component_voxels": {"cancer": 5}}, "received 'cancer'"),
    ],
)
def test_what_is_not_there_is_refused(fields, said):
    with pytest.raises(ConfigError, match=said):
        plan_labels(DECLARED, recipe(**fields))


# --- arrays


def test_a_second_map_goes_over_the_first_or_under_it():
    first, second = np.array([0, 1, 1, 2, 0], np.uint8), np.array([8, 8, 0, 9, 9], np.int32)
    assert fuse(first, second, {8: 300}, over=True).tolist() == [300, 300, 1, 2, 0]
    assert fuse(first, second, {8: 300}, over=False).tolist() == [300, 1, 1, 2, 0]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int8, np.int64])
def test_values_are_translated_and_others_become_zero(dtype):
    label = np.array([[0, 5], [7, 9]], dtype)
    assert translate(label, {5: 2, 9: 1}).tolist() == [[0, 2], [0, 1]]
    assert translate(label, {5: 2}).dtype == np.uint8
    assert translate(label, {5: 256}).dtype == np.uint16
    assert translate(label, {-251: 1, 1000: 3}).any() == np.False_


def test_what_is_ignored_is_no_foreground():
    assert has_foreground(np.array([[[0, 2]], [[0, 255]], [[0, 0]], [[255, 1]]])).tolist() == [True, False, False, True]


def test_classes_become_values_again():
    classes = np.array([0, 1, 2, IGNORED], np.uint8)
    assert to_values(classes, [40, 300], ignore_label=7).tolist() == [0, 40, 300, 7]
    assert to_values(classes, [40, 300]).tolist() == [0, 40, 300, 0]


def test_clean_up_by_hand():
    classes = np.zeros((1, 6, 8), np.uint8)
    classes[0, 0:3, 0:3] = 1  # 9 voxels, and one more that touches by a corner
    classes[0, 3, 3] = 1
    classes[0, 5, 0:2] = 1  # 2 voxels apart
    classes[0, 0, 6:8] = 2  # 2 voxels
    classes[0, 4:6, 6:8] = 2  # 4 voxels
    expected = classes.copy()
    expected[0, 5, 0:2] = 0
    expected[0, 0, 6:8] = 0
    before = classes.copy()
    np.testing.assert_array_equal(clean_up(classes, [1], {2: 3}), expected)
    np.testing.assert_array_equal(classes, before)


def test_clean_up_of_one_class_leaves_the_others():
    classes = np.random.default_rng(0).integers(0, 4, (5, 6, 7)).astype(np.uint8)
    cleaned = clean_up(classes, [2], {3: 4})
    np.testing.assert_array_equal(cleaned == 1, classes == 1)
    assert set(np.unique(cleaned[cleaned != classes])) == {0}
    assert clean_up(np.zeros((2, 2, 2), np.uint8), [1], {2: 5}).sum() == 0
