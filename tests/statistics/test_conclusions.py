import numpy as np
import pandas as pd
import pytest

from tfseg.metrics import write_value
from tfseg.statistics import conclude, overall, paired_values, pairs_table
from tfseg.statistics.quantities import write_p
from tfseg.statistics.seeds import SeedNoise
from tfseg.statistics.verdicts import Lead, Verdict

KNOWN, UNKNOWN = SeedNoise(0.001, 0.004), SeedNoise(np.nan, np.nan)


def lead(**changes) -> Lead:
    usual = {
        "loss": "bce", "metric": "dice", "lead": 0.02, "low": 0.01, "high": 0.03, "t_p": 0.01, "wilcoxon_p": 0.02,
        "rank_lead": 0.6, "noise": KNOWN, "few": False, "reason": "",
    }  # fmt: skip
    return Lead(**(usual | changes))


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, Verdict.BETTER),
        ({"noise": UNKNOWN}, Verdict.BETTER),
        ({"lead": 0.004}, Verdict.NOISE),
        ({"t_p": 0.05}, Verdict.HINT),
        ({"wilcoxon_p": 0.05}, Verdict.HINT),
        ({"wilcoxon_p": 0.05, "lead": 0.004}, Verdict.HINT),
        ({"rank_lead": -0.1}, Verdict.HINT),
        ({"t_p": 0.05, "wilcoxon_p": 0.3}, Verdict.OPEN),
        ({"lead": 0.0}, Verdict.OPEN),
        ({"reason": "too few", "t_p": np.nan}, Verdict.UNTESTED),
    ],
)
def test_the_rule(changes, verdict):
    assert lead(**changes).verdict is verdict


def scores_of(make_scores, values: dict, metric: str = "dice") -> pd.DataFrame:
    """{loss or (loss, seed): values by subject}."""
    runs = {run: {f"s{i:02}": {metric: v} for i, v in enumerate(found)} for run, found in values.items()}
    return make_scores(runs)


def concluded(scores: pd.DataFrame):
    (paired,) = paired_values(scores, {})
    return conclude(paired, pairs_table([paired]))


SUBJECTS = np.linspace(0.5, 0.72, 12)
WAVE = 0.01 * np.cos(np.arange(12))  # of mean -0.0005


def test_a_winner_with_its_lead_its_interval_and_its_seeds(make_scores):
    runs = {
        ("focal", 0): SUBJECTS + 0.1 + WAVE, ("focal", 1): SUBJECTS + 0.102 + WAVE,
        ("bce", 0): SUBJECTS, ("bce", 1): SUBJECTS + 0.002,
    }  # fmt: skip
    got = concluded(scores_of(make_scores, runs))
    assert (got.best, got.subjects, got.seeds) == ("focal", 12, 2)
    assert got.verdicts == {"bce": Verdict.BETTER}
    assert got.surely_best
    opening = (
        "Dice of lesion (12 subjects, 2 seeds): focal has the best mean, 0.711. It is better than bce by 0.100 (95 %"
    )
    assert got.text.startswith(opening)
    assert got.text.endswith(", p < 0.001; seeds alone: up to 0.006).")


def test_lower_is_better_for_distances(make_scores):
    got = concluded(scores_of(make_scores, {"focal": 9 + WAVE, "bce": 10 + 0 * WAVE}, "hd95"))
    assert got.best == "focal"
    assert "HD95 of lesion (12 subjects, 1 seed): focal has the best mean, 9.00 mm." in got.text
    assert "It is better than bce by 1.00 mm (95 % interval 1.00 to 1.00 mm, p < 0.001)." in got.text


def test_a_lead_that_seeds_alone_make_is_called_that(make_scores):
    runs = {
        ("focal", 0): SUBJECTS + 0.04 + WAVE, ("focal", 1): SUBJECTS + WAVE, ("bce", 0): SUBJECTS, ("bce", 1): SUBJECTS,
    }  # fmt: skip
    got = concluded(scores_of(make_scores, runs))
    assert got.verdicts == {"bce": Verdict.NOISE}
    assert "holds over the subjects but is inside the noise of seeds (±0.086): other seeds may turn it." in got.text
    assert "better" not in got.text


def test_where_nothing_can_be_said(make_scores):
    got = concluded(scores_of(make_scores, {"focal": SUBJECTS + WAVE + 0.001, "bce": SUBJECTS}))
    assert got.verdicts == {"bce": Verdict.OPEN}
    assert "Nothing can be said against bce, 0.001 (95 % interval −0.003 to 0.005, p = 0.76)." in got.text
    assert "better" not in got.text
    assert overall([got]) == [
        "On Dice of lesion, the loss with the best mean is not surely better than any other.",
        "With one seed it cannot be told how much of a difference the seed alone makes.",
    ]


def test_too_few_subjects_are_said(make_scores):
    got = concluded(scores_of(make_scores, {"focal": SUBJECTS[:4] + 0.2, "bce": SUBJECTS[:4]}))
    assert got.verdicts == {"bce": Verdict.UNTESTED}
    assert got.text.endswith(
        "No test could be done against bce: 4 subjects are too few for a test, which needs 6 (Wilcoxon: p ≥ 0.125)."
    )
    assert "4 subjects cannot carry a test, which needs 6." in overall([got])


def test_too_few_subjects_for_one_of_the_tests_are_a_hint(make_scores):
    runs = {"focal": SUBJECTS[:7] + 0.1 + WAVE[:7]}
    runs |= {
        name: SUBJECTS[:7] + sign * 0.001 * np.sin(np.arange(7) + sign) for sign, name in enumerate(["a", "b", "c"])
    }
    got = concluded(scores_of(make_scores, runs))
    assert set(got.verdicts.values()) == {Verdict.HINT}
    assert "is a hint, not more: so few subjects cannot bring Wilcoxon below 0.05." in got.text
    assert not got.beaten


def test_ranks_against_the_mean_are_a_hint(make_scores):
    differences = np.concatenate([np.full(7, 0.5), -0.02 - 0.0001 * np.arange(23)])
    got = concluded(scores_of(make_scores, {"focal": differences, "bce": 0 * differences}))
    assert got.verdicts == {"bce": Verdict.HINT}
    assert got.text.endswith("is a hint, not more: ranks point the other way.")


def test_equal_losses_share_the_best_mean(make_scores):
    got = concluded(scores_of(make_scores, {"focal": SUBJECTS, "bce": SUBJECTS, "dice": SUBJECTS - 0.1 + WAVE}))
    assert "focal and bce share the best mean" in got.text
    assert "against bce: the differences of all 12 subjects are zero" in got.text
    assert got.beaten == ["dice"]
    assert not got.surely_best
    assert "On Dice of lesion, focal is better than dice, not surely than bce." in overall([got])


def test_no_subject_and_no_other_loss(make_scores):
    apart = make_scores({"focal": {"a": {"dice": 0.5}}, "bce": {"b": {"dice": 0.5}}})
    got = concluded(apart)
    assert got.text == "Dice of lesion: no subject has a value under every loss, so nothing can be said."
    alone = concluded(make_scores({"focal": {"a": {"dice": 0.5}}}))
    assert alone.text == "Dice of lesion (1 subject, 1 seed): focal has the best mean, 0.500."
    assert not alone.surely_best
    assert overall([got, alone]) == []


def test_the_summary_counts_its_questions(draw_scores):
    scores = pd.concat([draw_scores({"a": 0.05, "b": 0.0}).assign(label=label) for label in ("left", "right")])
    paired = paired_values(scores[scores["metric"] == "dice"], {})
    table = pairs_table(paired)
    lines = overall([conclude(each, table) for each in paired])
    assert lines[0] == "a is better than every other loss on Dice of left, Dice of right and mean Dice over labels."
    assert lines[1].startswith("3 questions were asked")
    assert len(lines) == 2
    assert conclude(paired[-1], table).text.startswith("Mean Dice over labels (20 subjects, 2 seeds): a has")


def test_how_numbers_are_written():
    assert write_value("dice", -0.00449) == "−0.004"
    assert write_value("dice", -0.0004) == "0.000"
    assert write_value("hd95", 3.14159, "px") == "3.14 px"
    assert [write_p(p) for p in (0.0001, 0.03, 0.0999, 0.0496, 0.0503, 0.5)] == [
        "p < 0.001", "p = 0.030", "p = 0.100", "p = 0.0496", "p = 0.0503", "p = 0.50",
    ]  # fmt: skip
