"""Losses by name, in code and on the command line."""

import subprocess
import sys

import pytest

from tfseg.losses import LOSSES, Dice, get, make, parse, parse_list, title


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dice", ("dice", {})),
        (" tversky:alpha=0.3,beta=7e-1 ", ("tversky", {"alpha": 0.3, "beta": 0.7})),
        ("focal:alpha=none,gamma=2", ("focal", {"alpha": None, "gamma": 2})),
        ("dice:regions=true, overlap_over=batch", ("dice", {"regions": True, "overlap_over": "batch"})),
        ("bce:ignore_label=-1,regions=False", ("bce", {"ignore_label": -1, "regions": False})),
    ],
)
def test_parse(text, expected):
    name, params = parse(text)
    assert (name, params) == expected
    assert [type(value) for value in params.values()] == [type(value) for value in expected[1].values()]
    get(name, **params)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "dice:",
        "dice:smoothing",
        "dice:=1",
        "dice:smoothing=",
        "di ce",
        "a=1",
        "x:a=1,a=2",
        "x:a=[1]",
    ],
)
def test_parse_refuses(text):
    with pytest.raises(ValueError, match=r"expected|twice"):
        parse(text)


def test_parse_list():
    assert parse_list("dice,tversky:alpha=0.3,beta=0.7,ce") == [
        ("dice", {}),
        ("tversky", {"alpha": 0.3, "beta": 0.7}),
        ("ce", {}),
    ]
    assert parse_list("focal:gamma=1,focal:gamma=2") == [("focal", {"gamma": 1}), ("focal", {"gamma": 2})]
    with pytest.raises(ValueError, match="expected a name"):
        parse_list("dice,,ce")


def test_titles_have_the_form_of_the_command_line():
    assert title({"name": "dice"}) == "dice"
    assert title({"name": "tversky", "alpha": 0.3, "beta": 0.7}) == "tversky:alpha=0.3,beta=0.7"
    ramped = {"name": "boundary", "weight": {"from": 0, "to": 1, "epochs": 9}}
    assert title({"sum": ["dice", {"name": "bce", "weight": 0.5}, ramped]}) == "dice + 0.5·bce + (0→1)·boundary"


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ValueError, match="'tverski'; did you mean tversky"):
        get("tverski")
    with pytest.raises(ValueError, match="'x'; there are bce, weighted_bce"):
        get("x")
    with pytest.raises(ValueError, match="no loss is called 3; there are bce"):
        get(3)
    with pytest.raises(ValueError, match="the loss tversky has no parameter 'alfa'; did you mean alpha"):
        get("tversky", alfa=1)
    with pytest.raises(ValueError, match="the loss bce has no parameter 'smoothing'"):
        get("bce", smoothing=1)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("DICE", "dice"),
        ("DiceLoss", "dice"),
        ("DiceCELoss", "dice_ce"),
        ("HausdorffDTLoss", "hausdorff_dt"),
        ("log-cosh-dice", "log_cosh_dice"),
        ("CE", "ce"),
    ],
)
def test_names_of_other_packages_suggest_the_one_here(written, name):
    with pytest.raises(ValueError, match=rf"'{written}'; did you mean {name}\b(?!_)"):
        get(written)


def test_a_loss_may_be_named():
    assert get("dice", name="overlap").name == "overlap"
    assert next(iter(LOSSES)) == "bce"


def test_a_name_alone_makes_a_loss():
    loss = make("dice", overlap_over="batch")
    assert isinstance(loss, Dice) and loss.overlap_over == "batch"
    with pytest.raises(ValueError, match="'dise'; did you mean dice"):
        make("dise")
    with pytest.raises(ValueError, match=r"expected a loss as .*received \{'name': 3\}"):
        make(3)


def test_keras_is_loaded_on_first_use():
    code = "import sys; from tfseg.losses import parse; parse('a'); print({'keras', 'numpy'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
