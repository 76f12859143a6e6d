"""Networks of someone else's code: imported, built, refused."""

import json
import sys
import zipfile

import keras
import numpy as np
import pytest

from tfseg.core import files
from tfseg.core.errors import ConfigError, RunError
from tfseg.models.imported import build_imported, inference_network, load_network, module_digest

NETWORKS = """
import keras

def functional(image_shape, classes, width=2):
    image = keras.Input(image_shape)
    hidden = keras.layers.Conv2D(width, 3, padding="same")(image)
    return keras.Model(image, keras.layers.Conv2D(classes, 1, activation="softmax")(hidden))

class Own(keras.Model):
    def __init__(self, layers):
        super().__init__()
        self.steps = layers
    def call(self, x, training=False):
        for step in self.steps:
            x = step(x, training=training) if isinstance(step, keras.layers.Dropout) else step(x)
        return x

def subclassed(image_shape, classes):
    last = keras.layers.Conv2D(classes, 1, activation="softmax")
    return Own([keras.layers.Conv2D(2, 3, padding="same"), keras.layers.Dropout(0.5), last])

def nested(image_shape, classes):
    image = keras.Input(image_shape)
    return keras.Model(image, subclassed(image_shape, classes)(functional(image_shape, 3)(image)))

def failing(image_shape, classes):
    raise RuntimeError("out of ideas")

def text(image_shape, classes):
    return "a network"

def flat(image_shape, classes):
    return keras.Sequential([keras.layers.Dense(3), keras.layers.Conv3D(classes, 1)])

number = 3
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    """A module in a folder that is not on the Python path."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "their_networks.py").write_text(NETWORKS)
    (folder / "broken_networks.py").write_text("import no_such_package\n")
    yield folder
    sys.modules.pop("their_networks", None)


@pytest.mark.parametrize("name", ["functional", "subclassed", "nested"])
def test_a_network_is_built_from_the_working_directory(module, monkeypatch, name):
    monkeypatch.chdir(module)
    before = list(sys.path)
    network = build_imported(f"their_networks:{name}", (8, 8, 1), 2, {})
    assert sys.path == before
    assert (network.input_shape, network.output_shape) == ((None, 8, 8, 1), (None, 8, 8, 2))


def test_settings_are_arguments_of_the_function(module, monkeypatch):
    monkeypatch.chdir(module)
    assert build_imported("their_networks:functional", (8, 8, 1), 2, {"width": 5}).count_params() == 50 + 12


@pytest.mark.parametrize("name", ["functional", "subclassed", "nested"])
def test_its_weights_are_saved_and_loaded_into_the_same_network(module, monkeypatch, tmp_path, name):
    monkeypatch.chdir(module)
    first, second = (build_imported(f"their_networks:{name}", (8, 8, 1), 2, {}) for _ in range(2))
    inference_network(first).save(tmp_path / "best.keras")
    inference_network(second).load_weights(tmp_path / "best.keras")
    image = np.random.default_rng(0).normal(size=(1, 8, 8, 1)).astype("float32")
    np.testing.assert_array_equal(np.asarray(first(image)), np.asarray(second(image)))
    assert inference_network(first).get_config() == {"name": f"their_networks_{name}"}


@pytest.mark.parametrize("member", ["../outside", "/outside", "assets/../../outside"])
def test_a_network_with_files_outside_itself_is_refused(tmp_path, member):
    path = tmp_path / "best.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(path)
    assert load_network(path).count_params() == 3
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, "text")
    with pytest.raises(RunError, match=rf"best\.keras: .*: it holds files outside its own folder, {member}"):
        load_network(path)


def test_what_cannot_be_built_is_refused_in_one_line(module, monkeypatch):
    monkeypatch.chdir(module)
    for reference, message in (
        ("nowhere_at_all:build", "there is no module nowhere_at_all on the Python path or in the working directory"),
        ("their_networks.deep:build", "there is no module their_networks.deep on"),
        ("broken_networks:build", "broken_networks cannot be imported: ModuleNotFoundError: No module named 'no_such"),
        ("their_networks:absent", "their_networks has no function absent"),
        ("their_networks:number", "their_networks has no function number"),
        ("their_networks:failing", r"failed for images \(8, 8, 1\) and 2 classes: RuntimeError: out of ideas"),
        ("their_networks:text", "expected a Keras network from their_networks:text, received str"),
        ("their_networks:flat", r"the network of their_networks:flat does not take images \(8, 8, 1\): "),
    ):
        with pytest.raises(ConfigError, match=f"^model.import: .*({message})") as refused:
            build_imported(reference, (8, 8, 1), 2, {})
        assert "\n" not in str(refused.value)
    with pytest.raises(ConfigError, match=r"failed for images .*TypeError"):
        build_imported("their_networks:functional", (8, 8, 1), 2, {"height": 5})


def test_a_module_is_named_by_the_hash_of_its_file(module, monkeypatch):
    monkeypatch.chdir(module)
    assert module_digest("their_networks:functional") == files.sha256(module / "their_networks.py")


def test_the_hash_is_that_of_the_code_that_runs_even_if_the_file_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = tmp_path / "edited_networks.py"
    code.write_text("def build(image_shape, classes): ...\n")
    before = module_digest("edited_networks:build")
    code.write_text("def build(image_shape, classes, width): ...\n")
    assert module_digest("edited_networks:build") == before
    sys.modules.pop("edited_networks")  # as a new process does
    assert module_digest("edited_networks:build") == files.sha256(code) != before
    sys.modules.pop("edited_networks")


def test_no_function_is_called_that_whoever_loads_the_network_does_not_name(module, monkeypatch, tmp_path):
    """A received `network.json` could name any function, such as one that starts a program."""
    monkeypatch.chdir(module)
    build = "their_networks:functional"
    inference_network(build_imported(build, (8, 8, 1), 2, {})).save(tmp_path / "best.keras")
    record = {"import": build, "sha256": module_digest(build), "image_shape": [8, 8, 1], "classes": 2, "settings": {}}
    (tmp_path / "network.json").write_text(json.dumps(record))
    assert load_network(tmp_path / "best.keras", [build]).count_params() == 26
    started = tmp_path / "started"
    malicious = {"import": "subprocess:Popen", "sha256": module_digest("subprocess:Popen")}
    malicious |= {"image_shape": [1], "settings": {"args": ["touch", str(started)]}}
    for other, trusted in (({}, []), ({}, ["their_networks:nested"]), (malicious, []), (malicious, [build])):
        (tmp_path / "network.json").write_text(json.dumps({**record, **other}))
        with pytest.raises(ConfigError, match=r"loading this network runs \S+:\w+; if you trust that code,"):
            load_network(tmp_path / "best.keras", trusted)
    assert not started.exists()


def test_probabilities_in_half_precision_become_float32(module, monkeypatch):
    monkeypatch.chdir(module)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = build_imported("their_networks:functional", (8, 8, 1), 2, {})
    finally:
        keras.config.set_dtype_policy(before)
    assert (network.layers[1].compute_dtype, network.output.dtype) == ("bfloat16", "float32")


def test_a_run_folder_is_not_searched(tmp_path, monkeypatch):
    (tmp_path / "environment.json").write_text("{}")
    (tmp_path / "hidden_networks.py").write_text("raise AssertionError")
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    for folder in (tmp_path, tmp_path / "fold_0", tmp_path / "fold_0" / "predictions"):
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        with pytest.raises(ConfigError, match="there is no module hidden_networks"):
            build_imported("hidden_networks:build", (8, 8, 1), 1, {})


def test_the_inference_network_is_the_first_output():
    image = keras.Input((4, 4, 1))
    outputs = [keras.layers.Conv2D(2, 1)(image), keras.layers.MaxPooling2D()(image)]
    network = inference_network(keras.Model(image, outputs))
    assert network.output_shape == (None, 4, 4, 2)
    assert not any(isinstance(layer, keras.layers.MaxPooling2D) for layer in network.layers)
