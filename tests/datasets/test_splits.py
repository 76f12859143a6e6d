import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfseg.config.config import HoldoutConfig
from tfseg.core.errors import ConfigError
from tfseg.datasets.splits import Split, make_splits, read_splits, to_json

SEEDS = st.integers(0, 2**31 - 1)
SUBJECTS = [f"s{number:02}" for number in range(10)]


@st.composite
def subjects_and_folds(draw):
    folds = draw(st.integers(2, 8))
    count = draw(st.integers(max(folds, 4 if folds == 2 else 3), 40))
    names = draw(st.lists(st.text("abc019_", min_size=1), min_size=count, max_size=count, unique=True))
    return names, folds


def sides(split):
    return [*split.train, *split.val, *split.test]


@pytest.fixture
def write(tmp_path):
    def write(folds):
        path = tmp_path / "splits.json"
        path.write_text(folds if isinstance(folds, str) else json.dumps(folds))
        return path

    return write


# --- folds


@given(subjects_and_folds(), SEEDS)
def test_every_subject_is_tested_once_and_stands_on_one_side_of_every_fold(drawn, seed):
    names, folds = drawn
    splits = make_splits(names, folds, seed)
    assert len(splits) == folds
    assert sorted(subject for split in splits for subject in split.test) == sorted(names)
    for split in splits:
        assert sorted(sides(split)) == sorted(names)
        assert split.train
        assert split.val
        assert split.test


@given(subjects_and_folds(), SEEDS)
def test_a_fifth_of_a_folds_other_subjects_validates(drawn, seed):
    for split in make_splits(*drawn, seed):
        others = len(split.train) + len(split.val)
        assert len(split.val) == max(1, round(0.2 * others))


@given(subjects_and_folds(), SEEDS)
def test_test_sides_differ_by_one_subject_at_most(drawn, seed):
    sizes = [len(split.test) for split in make_splits(*drawn, seed)]
    assert max(sizes) - min(sizes) <= 1


@given(subjects_and_folds(), SEEDS, st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_splits_do_not_depend_on_the_order_or_the_repeats_of_the_subjects(drawn, seed, random):
    names, folds = drawn
    mixed = [*names, names[0]]
    random.shuffle(mixed)
    assert make_splits(mixed, folds, seed) == make_splits(names, folds, seed)
    assert make_splits(mixed, HoldoutConfig(scheme="holdout"), seed) == make_splits(
        names, HoldoutConfig(scheme="holdout"), seed
    )


def test_splits_without_strata_are_those_of_before():
    first = make_splits(SUBJECTS, 5, 0)[0]
    assert (first.test, first.val) == (("s04", "s06"), ("s02", "s05"))
    assert make_splits(SUBJECTS, 5, 0, dict.fromkeys(SUBJECTS, "all alike")) == make_splits(SUBJECTS, 5, 0)


STRATA = {f"s{number:02}": "a" if number < 10 else "b" if number < 25 else "c" for number in range(30)}


@given(SEEDS)
@settings(max_examples=30)
def test_every_part_has_its_share_of_each_stratum(seed):
    def counts(part):
        return [sum(STRATA[subject] == group for subject in part) for group in "abc"]

    splits = make_splits(list(STRATA), 5, seed, STRATA)
    assert sorted(subject for split in splits for subject in split.test) == sorted(STRATA)
    for split in splits:
        assert counts(split.test) == [2, 3, 1]  # of 10, 15 and 5
        assert np.abs(np.subtract(counts(split.val), [1.6, 2.4, 0.8])).max() < 1
    (holdout,) = make_splits(list(STRATA), HoldoutConfig(scheme="holdout", ratio=(3, 1, 1)), seed, STRATA)
    assert (counts(holdout.train), counts(holdout.val), counts(holdout.test)) == ([6, 9, 3], [2, 3, 1], [2, 3, 1])
    assert {split.test for split in splits} != {split.test for split in make_splits(list(STRATA), 5, seed)}


def test_a_rare_stratum_is_tested_in_as_many_folds_as_it_has_subjects():
    strata = {f"s{number:02}": "rare" if number < 3 else "usual" for number in range(17)}
    for seed in range(20):
        tested = [
            sum(strata[subject] == "rare" for subject in s.test) for s in make_splits(list(strata), 5, seed, strata)
        ]
        assert sorted(tested) == [0, 0, 1, 1, 1]


def test_another_seed_gives_another_split():
    assert len({to_json(make_splits(SUBJECTS, 5, seed)) for seed in range(10)}) == 10


def test_every_fold_draws_its_validation_anew():
    drawn = set()
    for split in make_splits(SUBJECTS, 5, 0):
        others = sorted(split.train + split.val)
        drawn.add(tuple(others.index(subject) for subject in split.val))
    assert len(drawn) > 1


def test_too_few_subjects_are_refused():
    for folds, enough in ((2, 4), (3, 3), (4, 4), (5, 5), (10, 10)):
        assert all(split.train and split.val for split in make_splits(SUBJECTS[:enough], folds, 0))
        with pytest.raises(ConfigError, match=f"at least {enough} subjects, received {enough - 1}"):
            make_splits(SUBJECTS[: enough - 1], folds, 0)


def test_a_share_of_those_who_are_not_tested_validates():
    for share, validating in ((0.01, 1), (0.125, 1), (0.25, 2), (0.5, 4), (0.99, 7)):
        for split in make_splits(SUBJECTS, 5, 0, validation_share=share):
            assert (len(split.train), len(split.val), len(split.test)) == (8 - validating, validating, 2)
    tests = [[split.test for split in make_splits(SUBJECTS, 5, 0, validation_share=share)] for share in (0.1, 0.5)]
    assert tests[0] == tests[1]


# --- holdout


def test_a_holdout_divides_by_its_ratio_with_at_least_one_subject_a_side():
    for count, ratio, sizes in (
        (10, (7, 2, 1), (7, 2, 1)),
        (100, (7, 2, 1), (70, 20, 10)),
        (10, (0.5, 0.25, 0.25), (6, 2, 2)),
        (3, (7, 2, 1), (1, 1, 1)),
        (20, (98, 1, 1), (18, 1, 1)),
    ):
        subjects = [f"s{number}" for number in range(count)]
        (split,) = make_splits(subjects, HoldoutConfig(scheme="holdout", ratio=ratio), 0)
        assert (len(split.train), len(split.val), len(split.test)) == sizes
        assert sorted(sides(split)) == sorted(subjects)


def test_another_seed_gives_another_holdout():
    holdout = HoldoutConfig(scheme="holdout")
    assert len({make_splits(SUBJECTS, holdout, seed)[0].test for seed in range(20)}) > 5


def test_a_holdout_that_leaves_a_side_empty_is_refused():
    for count, ratio in ((2, (7, 2, 1)), (4, (0.1, 5, 5))):
        with pytest.raises(ConfigError, match="folds: "):
            make_splits(SUBJECTS[:count], HoldoutConfig(scheme="holdout", ratio=ratio), 0)


# --- files


def test_splits_are_read_back_as_written(write):
    splits = make_splits(SUBJECTS, 4, 3)
    assert read_splits(write(to_json(splits)), SUBJECTS, 0) == splits


def test_a_file_may_leave_subjects_out(write):
    fold = {"train": ["s00"], "val": ["s01"], "test": ["s02"]}
    assert read_splits(write([fold]), SUBJECTS, 0) == [Split(("s00",), ("s01",), ("s02",))]


def test_what_nnunet_holds_out_is_tested_and_validation_drawn_from_its_training(write):
    path = write([{"train": SUBJECTS[2:], "val": SUBJECTS[:2]}, {"train": SUBJECTS[:5], "val": SUBJECTS[5:]}])
    first, second = read_splits(path, SUBJECTS, 0)
    assert (first.test, second.test) == (tuple(SUBJECTS[:2]), tuple(SUBJECTS[5:]))
    assert sorted(first.train + first.val) == SUBJECTS[2:]
    assert (len(first.val), len(second.val)) == (2, 1)  # a fifth of 8 and of 5
    assert [len(split.val) for split in read_splits(path, SUBJECTS, 0, validation_share=0.6)] == [5, 3]
    assert read_splits(path, SUBJECTS, 0) == [first, second]
    assert len({read_splits(path, SUBJECTS, seed)[0].val for seed in range(10)}) > 1


def test_a_subject_that_is_tested_twice_is_refused(write):
    fold = {"train": ["s00"], "val": ["s01"], "test": ["s02"]}
    with pytest.raises(ConfigError, match="s02 is tested in 2 folds"):
        read_splits(write([fold, fold]), SUBJECTS, 0)


def test_a_fold_that_cannot_be_used_is_refused(write):
    good = {"train": ["s00"], "val": ["s01"], "test": ["s02"]}
    for fold, said in (
        ({"train": ["s00"], "val": ["s01"], "test": ["s01"]}, "on two sides of the split: s01"),
        ({"train": ["s00", "s02"], "val": ["s01"], "test": ["s02"]}, "on two sides of the split: s02"),
        ({"train": ["s00", "s01", "s02"], "val": ["s02"]}, "on two sides of the split: s02"),
        (
            {"train": ["s00"], "val": ["s01"], "test": ["nobody"]},
            "unknown subjects in test: nobody; the subjects are s00",
        ),
        ({"train": ["s00"], "val": [], "test": ["s01"]}, "no subject in val"),
        ({"train": ["s00"], "val": ["s01"]}, "no subject in train"),
        ({"train": ["s00"]}, "no subject in"),
    ):
        path = write([good, fold])
        with pytest.raises(ConfigError) as refused:
            read_splits(path, SUBJECTS, 0)
        assert str(refused.value).startswith(f"{path}, fold 1: ")
        assert said in str(refused.value)


def test_a_damaged_file_is_named(write):
    for text in ("{", '{"train": []}', "[1]", '[["s00"]]', '[{"train": 1}]', "3", "[" * 10**5):
        path = write(text)
        with pytest.raises(ConfigError, match="expected a list of folds with train, val and test") as refused:
            read_splits(path, SUBJECTS, 0)
        assert str(path) in str(refused.value)
        assert "\n" not in str(refused.value)
    path.write_bytes(b"[\xff]")
    with pytest.raises(ConfigError, match=r"splits\.json: not a text file in UTF-8"):
        read_splits(path, SUBJECTS, 0)
    path.write_bytes(b"\xef\xbb\xbf" + to_json(make_splits(SUBJECTS, 4, 3)).encode())
    assert read_splits(path, SUBJECTS, 0) == make_splits(SUBJECTS, 4, 3)


def test_a_split_is_restricted_to_known_subjects_and_checked():
    split = Split(train=("a", "b"), val=("c",), test=("d",))
    split.check("abcd", "here")
    assert split.among({"a", "c", "d"}) == Split(train=("a",), val=("c",), test=("d",))
    with pytest.raises(ConfigError, match="here: no subject in val"):
        split.among("abd").check("abd", "here")
    with pytest.raises(ConfigError, match="here: unknown subjects in test: d"):
        split.check("abc", "here")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.json"):
        read_splits(tmp_path / "nowhere.json", SUBJECTS, 0)


def test_a_file_without_folds_is_refused(write):
    with pytest.raises(ConfigError, match="lists no folds"):
        read_splits(write([]), SUBJECTS, 0)
