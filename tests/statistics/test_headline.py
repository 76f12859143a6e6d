import re

import numpy as np
import pytest

from tfseg.statistics import against, best_arm, compare_arms, headline, questions, secondary_findings


def table_of(scores, **options):
    return compare_arms(questions(scores, {}), **options)


def test_a_winner_with_its_lead_and_its_interval(draw_scores):
    table = table_of(draw_scores({"bce": 0.0, "focal": 0.05}))
    pair = table[(table["role"] == "primary")].iloc[0]
    lines = headline(table)
    lead = f"{-pair['difference']:.3f} (95 % interval {-pair['high']:.3f} to {-pair['low']:.3f})"
    assert lines[0] == f"On this dataset, focal is better than bce on Dice of lesion: by {lead}."
    assert lines[1].startswith("Beyond this dataset, as a sensitivity analysis: focal is better than bce with prob")
    assert len(lines) == 2
    assert secondary_findings(table) == ["focal is better than bce on NSD of lesion and HD95 of lesion."]


def test_distances_lead_by_being_smaller(draw_scores):
    lines = headline(table_of(draw_scores({"bce": 0.0, "focal": 0.05}), primary=("lesion", "hd95")), unit="px")
    assert lines[0].startswith("On this dataset, focal is better than bce on HD95 of lesion: by ")
    size = lines[0].partition(": by ")[2]
    assert 0.8 < float(size.split(" ")[0]) < 1.2
    low, high = (float(text) for text in size.partition("interval ")[2].removesuffix(" px).").split(" to "))
    assert 0 < low < high


def test_better_than_all_equivalent_to_one_and_the_rest(draw_scores):
    gains = {"bce": 0.0, "focal": 0.05, "dice": 0.0, "ce": 0.01, "iou": -0.02, "log": -0.03}
    table = table_of(draw_scores(gains, residual_sd=0.004, network_sd=0.001))
    lines = headline(table)
    assert lines[0].startswith("On this dataset, focal is better than every other arm on Dice of lesion: by 0.0")
    assert "over ce, the closest, to 0.0" in lines[0]
    assert "over log." in lines[0]
    assert lines[1].startswith("Of the 10 pairs of other arms, ")
    counts = re.findall(r"(\d+) (differs?|is equivalent|are equivalent|is open|are open)", lines[1])
    assert sum(int(count) for count, _ in counts) == 10
    assert all((count == "1") == (words in ("differs", "is equivalent", "is open")) for count, words in counts)
    gains = {"bce": -0.1, "focal": 0.0, "dice": 0.0}
    lines = headline(table_of(draw_scores(gains, residual_sd=0.002, network_sd=0.0005)))
    assert lines[0].startswith("On this dataset, ") and " is better than bce on " in lines[0]
    assert " are equivalent on Dice of lesion, within 0.010: by 0.00" in lines[1]
    assert lines[2].startswith("Of the other arms, ") and lines[2].endswith(" is better than bce.")


def test_equivalence_is_claimed_on_this_dataset_only(draw_scores):
    lines = headline(table_of(draw_scores({"a": 0.0, "b": 0.0}, residual_sd=0.002, network_sd=0.0005)))
    assert lines[0].startswith("On this dataset, ")
    assert " are equivalent on Dice of lesion, within 0.010: by 0.00" in lines[0]
    assert len(lines) == 1


def test_what_is_open_says_what_would_settle_it(draw_scores):
    lines = headline(table_of(draw_scores({"a": 0.0, "b": 0.004}, seeds=1, network_sd=0.01)))
    assert lines[0].startswith("Open on Dice of lesion: ")
    assert lines[0].endswith("would settle it.")
    assert "better" not in lines[0]
    assert lines[1].startswith("With one seed, how much networks differ is judged from 5 folds")


def test_an_arm_whose_networks_collapsed_is_open_in_a_sentence_of_its_own(draw_scores):
    scores = draw_scores({"a": 0.001, "b": 0.0, "c": 0.0, "d": 0.0}, seeds=1, folds=3)
    for arm, start in (("c", 0), ("d", 0)):
        fallen = (scores["loss"] == arm) & (scores["seed"] == start) & (scores["metric"] == "dice")
        scores.loc[fallen, "value"] /= 10
    sound, fallen, others, *_ = headline(table_of(scores))
    assert re.match("Open on Dice of lesion: (a or b|b or a). The difference is 0.0", sound)
    assert re.match(
        "Open on Dice of lesion: [ab] or [cd] and [cd]. The difference to [cd], the closest, is 0.7", fallen
    )
    assert re.search("networks collapsed: 3 of 3 of [cd]; more seeds would show whether that is chance.$", fallen)
    assert others.startswith("Of the 3 pairs of other arms, ") or others == "All 3 pairs of other arms are open."


def test_one_training_set_for_all_seeds_is_named(draw_scores):
    lines = headline(table_of(draw_scores({"a": 0.0, "b": 0.1}, seeds=3, folds=1)))
    assert lines[0].startswith("On this dataset, b is better than a on Dice of lesion: by ")
    assert lines[1] == "The 3 networks of an arm have one training set: what another one would change is unknown."


def test_what_is_not_tested_says_why(draw_scores):
    lines = headline(table_of(draw_scores({"a": 0.0, "b": 0.1}, seeds=1, folds=1)))
    assert lines[0].startswith("Not tested on Dice of lesion: b against a: one network of each arm")
    assert len(lines) == 1


def test_no_pair_no_headline(draw_scores):
    assert headline(table_of(draw_scores({"a": 0.0}))) == []


def test_pairs_turned_to_an_arm(draw_scores):
    table = table_of(draw_scores({"a": 0.0, "b": 0.03, "c": 0.01}))
    primary = table[table["role"] == "primary"]
    assert best_arm(primary) == "b"
    turned = against(primary, "b")
    assert turned["first"].tolist() == ["b", "b"]
    assert turned["second"].tolist() == ["c", "a"]
    original = primary[primary["first"] == "a"].set_index("second").loc["b"]
    own = turned.set_index("second").loc["a"]
    assert (own["low"], own["high"], own["difference"]) == pytest.approx(
        (-original["high"], -original["low"], -original["difference"])
    )
    assert own["p_better"] == pytest.approx(1 - original["p_better"])
    assert (own["verdict"], original["verdict"]) == ("better", "worse")
    assert np.isnan(own["p_margin"])
