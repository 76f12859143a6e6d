"""A run records its threads, settings, initial weights and machine."""

import json

import numpy as np
import pytest

from tfseg.config.config import load_config
from tfseg.core import files
from tfseg.core.claims import claim
from tfseg.core.errors import ConfigError
from tfseg.core.machine import usable_cores
from tfseg.runs.environment import (
    SAME,
    describe_environment,
    describe_network,
    describe_start,
    imported_networks,
    with_pooling,
    with_threads,
)


def test_threads_are_resolved_to_a_number(tmp_path):
    assert with_threads(load_config(), tmp_path).training.threads == usable_cores()
    assert with_threads(load_config(None, ["training.threads=3"]), tmp_path).training.threads == 3


def test_a_folder_keeps_the_threads_it_was_started_with(tmp_path):
    begun = with_threads(load_config(None, ["training.threads=3"]), tmp_path)
    claim(tmp_path, {"config.yaml": begun.to_yaml()})
    assert with_threads(load_config(), tmp_path).training.threads == 3
    assert with_threads(begun, tmp_path) == begun
    with pytest.raises(ConfigError, match=r"training\.threads: .* was started with 3, received 2"):
        with_threads(load_config(None, ["training.threads=2"]), tmp_path)


def test_a_run_resumes_with_another_picture_every_but_no_other_change(tmp_path):
    """No network depends on `picture_every`; threads are compared by `with_threads`."""
    stages = "stages=[{training: {picture_every: 1}}, {training: {epochs: 2}}]"
    claim(tmp_path, {"config.yaml": load_config(None, [stages]).to_yaml(), "splits.json": "[]"})
    before = (tmp_path / "config.yaml").read_text()
    stages = "stages=[{training: {}}, {training: {epochs: 2, picture_every: null}}]"
    other = [stages, "training.picture_every=2"]
    claim(tmp_path, {"config.yaml": load_config(None, other).to_yaml()}, same=SAME)
    assert (tmp_path / "config.yaml").read_text() == before
    for changed in ("training.epochs=3", "folds=3", "scoring.tolerance_mm=2", "stages=[]"):
        with pytest.raises(ConfigError, match=r"another config\.yaml"):
            claim(tmp_path, {"config.yaml": load_config(None, [*other, changed]).to_yaml()}, same=SAME)


def test_other_initial_weights_under_the_same_name_are_refused(tmp_path):
    weights = tmp_path / "weights.keras"
    config = load_config(None, [f"training.start_from={weights}"])
    with pytest.raises(ConfigError, match=r"training\.start_from: cannot read .*weights\.keras"):
        describe_start(config)
    weights.write_bytes(b"one")
    claim(tmp_path / "run", {"config.yaml": config.to_yaml(), **describe_start(config)})
    claim(tmp_path / "run", {"config.yaml": config.to_yaml(), **describe_start(config)})
    weights.write_bytes(b"two")
    with pytest.raises(ConfigError, match=r"another start_from\.json"):
        claim(tmp_path / "run", {"config.yaml": config.to_yaml(), **describe_start(config)})
    assert describe_start(load_config()) == {}


def test_environment_names_versions_and_inputs(prepared):
    described = json.loads(describe_environment(prepared, ["CPU:0"], 2, command="tfseg fit", seed=3))
    assert described["prepared_sha256"] == prepared.digest
    assert described["versions"]["numpy"] == np.__version__
    assert described["threads"] == 2
    assert (described["command"], described["seed"], described["devices"]) == ("tfseg fit", 3, ["CPU:0"])


def test_pooling_is_decided_from_size_and_spacing_and_stays_when_the_run_resumes(prepared, tmp_path):
    """Slices of 32 by 32 pixels of 1 mm are halved along both axes; a run begins before its scans are prepared."""
    begun = load_config(None, ["model.depth=2"])
    decided = with_pooling(begun, prepared)
    assert decided.model.pooling == ((2, 2), (2, 2))
    assert with_pooling(decided, prepared) == decided
    claim(tmp_path, {"config.yaml": decided.to_yaml()})
    claim(tmp_path, {"config.yaml": begun.to_yaml()}, same=SAME)
    with pytest.raises(ConfigError, match=r"another config\.yaml"):
        claim(tmp_path, {"config.yaml": load_config(None, ["model.depth=3"]).to_yaml()}, same=SAME)
    own = load_config(None, ["model={depth: 2, pooling: [[1, 2], [2, 2]]}"])
    assert with_pooling(own, prepared) == own
    with pytest.raises(ConfigError, match=r"another config\.yaml"):
        claim(tmp_path, {"config.yaml": own.to_yaml()}, same=SAME)


def test_an_imported_network_is_named_with_the_hash_of_its_file(tmp_path, monkeypatch):
    code = tmp_path / "named_network.py"
    code.write_text("def build(image_shape, classes): ...\n")
    monkeypatch.chdir(tmp_path)
    config = load_config(None, ["model={import: named_network:build}"])
    digest = files.sha256(code)
    assert json.loads(describe_network(config)["network.json"]) == {"import": "named_network:build", "sha256": digest}
    assert imported_networks([load_config(), config, config]) == {
        "imported_networks": [f"named_network:build (SHA-256 {digest})"]
    }
    assert describe_network(load_config()) == imported_networks([load_config()]) == {}
    with pytest.raises(ConfigError, match=r"model\.import: there is no module nowhere"):
        describe_network(load_config(None, ["model={import: nowhere:build}"]))
