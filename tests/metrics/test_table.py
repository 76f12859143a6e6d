import numpy as np
import pytest

from tfseg.metrics import METRICS, lesion_scores, metric_of, score, write_value
from tfseg.metrics.probabilities import Label, calibration_scores, curves, uncertainty_scores
from tfseg.metrics.table import CALIBRATED, DROPOUT, PLAIN, PREPARED


def test_every_score_is_in_the_table():
    masks = [[0, 1, 1]], [[0, 0, 1]]
    names = [*score(*masks, labels={1: "a"})["metric"], *lesion_scores(*masks, labels={1: "a"})["metric"]]
    truth, prediction = (np.array(mask, bool) for mask in masks)
    label = Label.of(np.float32([[0.1, 0.4, 0.9]]), truth, prediction, (1, 1))
    calibration, uncertainty = calibration_scores(label), uncertainty_scores(label, curves(label).retention)
    names += [f"{name}{source}" for source in (PLAIN, DROPOUT) for name in (*calibration, *uncertainty)]
    added = {"global_accuracy"}  # with the background
    own = [name for name in METRICS if name not in added and not name.endswith(PREPARED)]
    assert [*names, *(f"{name}{CALIBRATED}" for name in calibration)] == own


def test_only_distances_are_lengths_and_of_scores_of_masks_only_they_are_better_low():
    distances = {name for name, metric in METRICS.items() if metric.is_distance}
    low = {name for name, metric in METRICS.items() if metric.sign < 0 and not metric.of_probabilities}
    own = {"hd", "hd95", "assd", "masd"}
    assert distances == own | {f"{name}{PREPARED}" for name in own} == low
    assert {METRICS[name].both_empty for name in distances} == {0}


def test_what_has_no_better_direction_has_no_value_for_empty_masks():
    for name, metric in METRICS.items():
        assert metric.sign or np.isnan(metric.both_empty), name
        assert (
            metric.of_probabilities or name == "global_accuracy" or (metric.sign == 0) == np.isnan(metric.both_empty)
        ), name


def test_a_calibration_error_is_better_low_and_finding_errors_better_high():
    for name in ("ece_band", "ace_volume_dropout", "brier_foreground", "nll_band_calibrated"):
        assert METRICS[name].better == "lower", name
    for name in ("error_auroc", "error_aupr_dropout", "retention_dice"):
        assert METRICS[name].better == "higher", name
    assert {METRICS[name].better for name in ("entropy_mean", "probability_sd_dropout", "uncertainty")} == {""}
    assert METRICS["ece_band_dropout"].name == "ECE in the band (dropout)"


def test_empty_masks_give_the_values_that_the_table_declares():
    empty, some = np.zeros((4, 5), np.uint8), np.eye(4, 5, dtype=np.uint8)
    both, missed = (
        dict(zip(table["metric"], table["value"], strict=True))
        for table in (score(truth, empty, labels={1: "a"}, spacing_mm=(1, 1)) for truth in (empty, some))
    )
    for name in both:
        metric = METRICS[name]
        assert np.isinf(missed[name]) == metric.is_distance, name
        if metric.of_masks and not np.isnan(both[name]):
            assert both[name] == metric.both_empty, name


def test_an_unknown_metric_has_no_direction_and_no_unit():
    metric = metric_of("my_score")
    assert (metric.name, metric.sign, metric.unit, metric.is_distance, metric.of_masks) == (
        "my_score",
        0,
        "",
        False,
        False,
    )
    assert write_value("my_score", 0.0) == "0.000"


@pytest.mark.parametrize(
    ("metric", "value", "unit", "text"),
    [
        ("dice", -0.00449, "mm", "−0.004"),
        ("dice", -0.0004, "mm", "0.000"),
        ("specificity", 0.99912, "px", "0.9991"),
        ("hd95", 3.14159, "px", "3.14 px"),
        ("volume_truth_ml", 12.345, "px", "12.3 ml"),
        ("lesions_missed", 3.0, "mm", "3"),
        ("nll_band_dropout", 0.12345, "mm", "0.1235 nats"),
    ],
)
def test_how_values_are_written(metric, value, unit, text):
    assert write_value(metric, value, unit) == text
