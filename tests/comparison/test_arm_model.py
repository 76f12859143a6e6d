"""The networks of an arm, under all seeds, know whom they have seen."""

import json

import pytest

from tfseg.comparison.folder import model_of_arm
from tfseg.core.errors import ConfigError
from tfseg.prediction.ensemble import unseen_by


def test_an_arm_has_the_networks_of_every_seed(compared):
    out, *_ = compared
    model = model_of_arm(out, "dice")
    assert [member.name for member in model.members] == ["dice_s0, fold 0", "dice_s0, fold 1"]
    splits = json.loads((out / "runs" / "dice_s0" / "splits.json").read_text())
    for member, split in zip(model.members, splits, strict=True):
        assert member.seen == {*split["train"], *split["val"]}
    subject = splits[1]["test"][0]
    assert [member.name for member in unseen_by(model.members, {subject})] == ["dice_s0, fold 1"]
    assert subject in model.description.subjects.values()
    with pytest.raises(ConfigError, match=r"expected one of the finished arms .* received focal"):
        model_of_arm(out, "focal")
