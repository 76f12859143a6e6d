"""Mappings from YAML: what is read, what is laid over what, what is refused."""

import pytest

from tfseg.config.yaml_files import merge, parse_override, parse_yaml, read_yaml, read_yaml_chain
from tfseg.core.errors import ConfigError


def test_nothing_is_an_empty_mapping():
    for text in (
        "",
        "# a comment\n",
        "{}",
        "null",
    ):
        assert parse_yaml(text, "here") == {}


def test_a_key_that_is_there_twice_is_refused():
    for text, key in (
        ("seed: 1\nloss: dice\nseed: 2\n", "seed"),
        ("training: {epochs: 1, rate: 2, epochs: 1}\n", "epochs"),
        ("labels:\n  1: a\n  1: b\n", "1"),
    ):
        with pytest.raises(ConfigError, match=f"^here is not valid YAML: duplicate key '?{key}'?"):
            parse_yaml(text, "here")


def test_the_same_key_in_two_mappings_is_no_repetition():
    assert parse_yaml("a: {x: 1}\nb: {x: 1}\n", "here") == {"a": {"x": 1}, "b": {"x": 1}}
    assert parse_yaml("a: &one {x: 1, y: 2}\nb: {<<: *one, x: 3}\n", "here")["b"] == {"x": 3, "y": 2}


def test_references_that_stand_for_endless_values_are_refused():
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    with pytest.raises(ConfigError, match=r"^here is not valid YAML: it stands for .*e\+18 values, expected at most"):
        parse_yaml(bomb, "here")
    for circle in ("a: &a [*a]", "a: &a {b: *a}", "&a {b: {c: [*a]}}"):
        with pytest.raises(ConfigError, match="it stands for values without end"):
            parse_yaml(circle, "here")
    assert len(parse_yaml("\n".join(f"k{number}: 1" for number in range(40_000)), "here")) == 40_000


def test_values_that_the_parser_fails_on_are_named():
    for text in (f"a: {'9' * 5000}", "a: 2001-99-99", "a: !!bool maybe", "a: !!timestamp x", "[" * 5000, "? [a]\n: 1"):
        with pytest.raises(ConfigError, match=r"^here is not valid YAML: "):
            parse_yaml(text, "here")
        with pytest.raises(ConfigError, match="--set a: the value"):
            parse_override(f"a={text.removeprefix('a: ')}")


def test_a_file_without_an_end_is_no_configuration(tmp_path):
    (tmp_path / "leaf.yaml").write_text("base: /dev/zero\n")
    with pytest.raises(ConfigError, match=r"^/dev/zero: larger than 10 MB"):
        read_yaml_chain(tmp_path / "leaf.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe4\n")
    with pytest.raises(ConfigError, match=r"cannot read .*latin\.yaml: 'utf-8' codec can't decode"):
        read_yaml(tmp_path / "latin.yaml")


def test_a_mapping_is_laid_over_another_key_by_key():
    below = {"a": {"x": 1, "y": 2}, "b": 3, "c": {"z": 4}}
    assert merge(below, {"a": {"y": 5}, "b": {"w": 6}, "c": 7}) == {"a": {"x": 1, "y": 5}, "b": {"w": 6}, "c": 7}
    assert below["a"] == {"x": 1, "y": 2}


def test_a_chain_of_bases_is_read_from_the_root_up(tmp_path):
    (tmp_path / "root.yaml").write_text("a: 1\nb: 1\nc: 1\n")
    (tmp_path / "middle.yaml").write_text("base: root.yaml\nb: 2\nc: 2\n")
    (tmp_path / "leaf.yaml").write_text("base: middle.yaml\nc: 3\n")
    assert read_yaml_chain(tmp_path / "leaf.yaml") == {"a": 1, "b": 2, "c": 3}


def test_an_override_is_read_as_yaml():
    for text, value in (
        ("1e-3", 0.001),
        ("2.5E4", 25000.0),
        ("-1e+2", -100.0),
        ("0.5", 0.5),
        ("20", 20),
        ("", None),
        ("null", None),
        ("true", True),
        ("e3", "e3"),
        ("1e", "1e"),
        ("val_iou", "val_iou"),
        ("[0.1, 1e-1]", [0.1, 0.1]),
        ("{name: dice, smoothing: 1e-5}", {"name": "dice", "smoothing": 1e-5}),
        ("a=b", "a=b"),
    ):
        parsed = parse_override(f"a.b={text}")
        assert parsed == {"a": {"b": value}}
        assert type(parsed["a"]["b"]) is type(value)


def test_an_override_without_a_name_or_a_value_is_refused():
    for text in (
        "training.epochs",
        "=3",
        "training.=3",
        "training..epochs=3",
        "",
    ):
        with pytest.raises(ConfigError, match="--set expects name=value"):
            parse_override(text)
