"""Whether a comparison was a fair experiment, from tables of networks, configurations and splits."""

import pandas as pd
import pytest

from tfseg.comparison.fairness import caveat, network_answers, network_notes, selects_on_test, study_answers, with_notes
from tfseg.config.config import load_config

RISING = {"unconverged": "val_dice still rose by 0.100 in the last quarter"}
NETWORKS = pd.DataFrame(
    [
        {"loss": "dice", "seed": 0, "fold": 0, "checks": {}},
        {"loss": "dice", "seed": 0, "fold": 1, "checks": {"edge": "the last of 12 epochs was the best"}},
        {"loss": "ce", "seed": 0, "fold": 0, "checks": RISING},
        {"loss": "ce", "seed": 0, "fold": 1, "checks": RISING | {"collapsed": "val_dice stays 0.000"}},
    ]
)
PAIRS = pd.DataFrame(
    [
        {"first": "dice", "second": "ce", "verdict": "better", "note": "p < 0.05 alone"},
        {"first": "dice", "second": "bce", "verdict": "untested", "note": ""},
    ]
)


def split(train, val, test):
    return {"train": ["a"] * train, "val": ["b"] * val, "test": ["c"] * test}


def test_networks_that_fail_a_check_are_counted_and_named():
    converged, collapsed, diverged, edge = network_answers(NETWORKS)
    assert not converged.is_well
    assert converged.found == (
        "2 of 4 networks; ce (seed 0, fold 0): val_dice still rose by 0.100 in the last quarter; "
        "ce (seed 0, fold 1): val_dice still rose by 0.100 in the last quarter"
    )
    assert collapsed.found == "3 of 4 networks; ce (seed 0, fold 1): val_dice stays 0.000"
    assert (diverged.is_well, diverged.found) == (True, "4 of 4 networks")
    assert not edge.is_well


def test_a_long_list_of_networks_is_cut():
    many = pd.concat([NETWORKS.assign(seed=seed) for seed in range(4)])
    converged = network_answers(many)[0]
    assert converged.found.startswith("8 of 16 networks; ce (seed 0, fold 0)")
    assert converged.found.endswith("; and 3 more in networks.csv")


def test_a_verdict_on_doubtful_networks_says_so():
    notes = network_notes(NETWORKS)
    assert notes == {"ce": "ce: 2 of 2 networks not shown to have converged, 1 of 2 networks collapsed in validation"}
    noted = with_notes(PAIRS, notes)
    assert list(noted["note"]) == [f"p < 0.05 alone; {notes['ce']}", ""]
    assert caveat(PAIRS, notes) == [f"These verdicts rest on doubtful networks: {notes['ce']}."]


def test_an_arm_without_a_verdict_needs_no_caveat():
    assert caveat(PAIRS, {"bce": "bce: 1 of 2 networks collapsed"}) == []
    assert caveat(PAIRS, {}) == []


@pytest.mark.parametrize(
    ("setting", "is_well"),
    [
        ("training.optimizer=adam", True),
        ("training.optimizer=sgd", False),
        ("training.clip_norm=1", False),
        ("training.l1=1e-5", False),
    ],
)
def test_what_makes_the_scale_of_a_loss_matter(setting, is_well):
    configs = [load_config(None, []), load_config(None, [setting])]
    scale = study_answers(configs, [split(8, 5, 3)], NETWORKS)[1]
    assert scale.is_well == is_well
    assert is_well or setting.split(".")[1].split("=")[-1 if "optimizer" in setting else 0] in scale.found


def test_few_validation_subjects_and_unequal_folds_are_named():
    _, _, validation, _, sizes, _ = study_answers([load_config(None, [])], [split(9, 3, 4), split(10, 3, 3)], NETWORKS)
    assert (validation.is_well, validation.found) == (False, "3")
    assert (sizes.is_well, sizes.found) == (True, "9 to 10 train, 3 val, 3 to 4 test; the same for every arm")
    _, _, validation, _, sizes, _ = study_answers([load_config(None, [])], [split(9, 5, 4), split(4, 6, 8)], NETWORKS)
    assert (validation.is_well, sizes.is_well) == (True, False)


def test_scored_subjects_that_chose_the_epoch_are_named():
    apart, shared = split(9, 3, 4), {**split(9, 3, 4), "val": split(9, 3, 4)["test"]}
    config = [load_config(None, [])]
    assert study_answers(config, [apart], NETWORKS)[3].is_well and not selects_on_test([apart])
    answer = study_answers(config, [apart, shared], NETWORKS)[3]
    assert not answer.is_well and "flatter" in answer.found and selects_on_test([apart, shared])


def test_whether_seeds_draw_their_folds_is_said():
    def found(folds_by_seed):
        splits = [{"train": [*train], "val": ["v"], "test": ["t"]} for folds in folds_by_seed for train in folds]
        networks = pd.DataFrame(
            [{"loss": "a", "seed": seed, "fold": fold} for seed, folds in enumerate(folds_by_seed) for fold in (0, 1)]
        )
        answer = study_answers([load_config(None, [])], splits, networks)[-1]
        return answer.is_well, answer.found

    assert found(["ab"]) == (True, "one seed: 2 training sets")
    redrawn = found([["ab", "cd"], ["ac", "bd"], ["ad", "bc"]])
    assert redrawn == (True, "6 training sets under 3 seeds, so seeds sample training sets too")
    shared = found([["ab", "cd"]] * 3)
    assert shared == (False, "all 3 seeds share 2 training sets, so seeds do not sample training sets")


def test_one_rate_for_all_arms_was_chosen_on_none_of_them():
    rate = study_answers(
        [load_config(None, []), load_config(None, ["training.learning_rate=0.01"])], [split(8, 5, 3)], NETWORKS
    )[0]
    assert not rate.is_well
    assert rate.found.startswith("0.006, 0.01 was not chosen for each arm")


def test_rates_that_were_chosen_are_counted_by_arm():
    configs = [load_config(None, ["training.rates=[0.001, 0.01]"])] * 2
    networks = NETWORKS.assign(learning_rate=[0.01, 0.001, 0.01, 0.01])
    rate = study_answers(configs, [split(8, 5, 3)], networks)[0]
    assert (rate.is_well, rate.found.split("rate: ")[1]) == (True, "dice 0.01: 1; dice 0.001: 1; ce 0.01: 2")
