"""The primary question and the margins of a study."""

from dataclasses import replace

import pytest
import yaml

from tfseg.comparison.endpoint import Endpoint, read_endpoint
from tfseg.comparison.study import load_study
from tfseg.config.config import load_config
from tfseg.core.errors import ConfigError
from tfseg.evaluation.scored import compared_metrics

LABELS = ["liver", "spleen"]


def read(text: str) -> Endpoint:
    return read_endpoint(yaml.safe_load(text) or {}, "study.yaml")


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("", ("mean", "dice")),
        ("primary: {metric: hd95}", ("mean", "hd95")),
        ("primary: {label: spleen}", ("spleen", "dice")),
        ("primary: {label: mean, metric: nsd}", ("mean", "nsd")),
    ],
)
def test_the_primary_question_has_defaults(text, question):
    assert read(text).question(LABELS) == question


def test_the_mean_over_one_label_is_that_label():
    assert read("").question(["liver"]) == read("primary: {label: mean}").question(["liver"]) == ("liver", "dice")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("primary: dice", "study.yaml: primary: expected a label and a metric, received 'dice'"),
        ("primary: {label: liver, weight: 1}", "primary: expected a label and a metric, received"),
        (
            "primary: {metric: dise}",
            r"primary.metric: expected a metric by which arms are compared, received 'dise'; did you mean dice\?",
        ),
        ("primary: {metric: volume_truth_ml}", "primary.metric: expected a metric .*; such as dice, nsd or hd95"),
        ("primary: {metric: global_accuracy}", "primary.metric: expected a metric .* received 'global_accuracy'"),
        ("margins: 0.01", "margins: expected a mapping of metrics to numbers, received 0.01"),
        ("margins: {dise: 0.01}", r"margins: expected a metric .* received 'dise'; did you mean dice\?"),
        ("margins: {dice: 0}", "margins.dice: expected a positive number, received 0"),
        ("margins: {hd95: wide}", "margins.hd95: expected a positive number, received 'wide'"),
        ("margins: {hd95: .nan}", "margins.hd95: expected a positive number, received nan"),
    ],
)
def test_a_wrong_question_is_one_clear_line(text, message):
    with pytest.raises(ConfigError, match=message) as raised:
        read(text)
    assert "\n" not in str(raised.value)


def test_a_label_that_is_not_scored_is_refused():
    with pytest.raises(ConfigError, match=r"primary\.label: expected one of liver, spleen, mean, received kidney"):
        read("primary: {label: kidney}").question(LABELS)


@pytest.mark.parametrize(
    ("text", "settings", "refused"),
    [
        ("primary: {metric: ece_band}", [], "primary.metric: expected one that is scored here, dice, iou, .*ece_band"),
        ("primary: {metric: ece_band}", ["uncertainty={}"], None),
        ("primary: {metric: ece_band_dropout}", ["uncertainty={}"], "received ece_band_dropout"),
        ("primary: {metric: ece_band_dropout}", ["uncertainty={samples: 2}"], None),
        ("margins: {ece_band_calibrated: 0.01}", ["uncertainty={temperature: none, samples: 2}"], "margins: expected"),
        ("margins: {ece_band_calibrated: 0.01}", ["uncertainty={}"], None),
        ("margins: {dice: 0.02, dice_prepared: 0.01}", [], "received dice_prepared"),
        ("margins: {dice_prepared: 0.01}", ["scoring.prepared_grid=true"], None),
        ("margins: {global_accuracy: 0.01}", [], "received global_accuracy"),
        ("margins: {global_accuracy: 0.01}", ["scoring.background=true"], None),
        ("primary: {metric: lesion_f1}", [], "received lesion_f1"),
    ],
)
def test_a_metric_that_the_configuration_does_not_measure_is_refused(text, settings, refused):
    metrics = compared_metrics(load_config(None, settings))
    if refused is None:
        read(text).check(LABELS, metrics)
    else:
        with pytest.raises(ConfigError, match=refused):
            read(text).check(LABELS, metrics)


def test_a_study_keeps_what_it_asks_when_it_is_extended(tmp_path):
    path = tmp_path / "given.yaml"
    path.write_text("losses: [dice, ce]\nprimary: {label: spleen, metric: hd95}\nmargins: {hd95: 2}\n")
    study = load_study(path, None, [], None, 1)
    assert study.endpoint.question(LABELS) == ("spleen", "hd95")
    study.write(tmp_path / "study.yaml")
    written = yaml.safe_load((tmp_path / "study.yaml").read_text())
    assert (written["primary"], written["margins"]) == ({"label": "spleen", "metric": "hd95"}, {"hd95": 2})
    more = load_study(None, None, [], "bce", 1).joined_to(tmp_path / "study.yaml")
    assert more.endpoint == replace(study.endpoint)
    other = replace(more, endpoint=read("primary: {metric: nsd}")).joined_to(tmp_path / "study.yaml")
    assert other.endpoint.question(LABELS) == ("mean", "nsd")
    assert other.endpoint.margins == {"hd95": 2}
