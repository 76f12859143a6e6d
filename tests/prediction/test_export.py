"""The SavedModel gives the run's own predictions, in a process that cannot import tfseg."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfseg.config.training import TrainingConfig
from tfseg.core.errors import ConfigError, RunError
from tfseg.models import unet, unet_2d
from tfseg.prediction.clean_up import CleanUp
from tfseg.prediction.description import describe, read_description, to_json
from tfseg.prediction.export import check_formats, mean_network, with_one_output, write_export
from tfseg.prediction.forward import compiled_forward
from tfseg.prediction.runtimes import litert_forward, onnx_forward
from tfseg.prediction.slices import SlicePredictor

TRAINING = TrainingConfig(batch_size=4)

WITHOUT_TFSEG = """
import sys
sys.modules["tfseg"] = None
import numpy as np, tensorflow as tf
model = tf.saved_model.load("exported")
answer = model.signatures["serving_default"](tf.constant(np.load("image.npy")))
np.save("answer.npy", answer["probability"])
try:
    model.signatures["serving_default"](image=tf.zeros([1, 48, 32, 1]))
except tf.errors.InvalidArgumentError as error:
    print(error.message.splitlines()[0])
"""


@pytest.fixture(scope="module")
def networks(prepared, tmp_path_factory):
    folder, paths = tmp_path_factory.mktemp("networks"), []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        paths.append(folder / f"{seed}.keras")
        unet_2d(prepared.image_shape, prepared.targets.channels, filters=2, depth=2).save(paths[-1])
    return paths


@pytest.fixture(scope="module")
def exported(networks, prepared, tmp_path_factory):
    """Both networks in every format, and how far each is from them."""
    out = tmp_path_factory.mktemp("exported") / "out"
    image = prepared.cases_of(prepared.subjects[:1])[0].image[:3]
    formats = ("savedmodel", "litert", "onnx")
    return out, write_export(networks, describe(prepared, TRAINING), out, "run", formats, image)


@pytest.mark.parametrize("count", [1, 2])
def test_saved_model_gives_the_runs_own_predictions(networks, exported, prepared, tmp_path, count):
    if count == len(networks):
        (tmp_path / "exported").symlink_to(exported[0])
    else:
        write_export(networks[:count], describe(prepared, TRAINING), tmp_path / "exported", "run")
    image = prepared.cases_of(prepared.subjects[:1])[0].image[...]
    np.save(tmp_path / "image.npy", image)
    done = subprocess.run([sys.executable, "-c", WITHOUT_TFSEG], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "[1,48,32,1] is not compatible with expected shape [?,32,32,1]" in done.stdout
    forwards = [compiled_forward(keras.saving.load_model(path)) for path in networks[:count]]
    own = np.mean([np.concatenate(list(SlicePredictor(forward, 4).blocks(image))) for forward in forwards], axis=0)
    np.testing.assert_allclose(np.load(tmp_path / "answer.npy"), own, atol=1e-5)


def test_metadata_describes_input_and_output_and_is_read_back(prepared, tmp_path):
    description = describe(prepared, TRAINING)
    metadata = json.loads(to_json(description, "run", 2))
    assert metadata["input"]["shape"] == ["batch", 32, 32, 1]
    assert metadata["output"]["classes"] == ["background", "left", "right"]
    assert metadata["output"]["label_values"] == [0, 1, 2]
    assert metadata["networks"] == 2
    assert metadata["recipe"]["scaling"] == "zscore"
    assert metadata["version"] == 1
    assert metadata["larger_slices"]["overlap"] == 0.5
    assert "connected" not in str(metadata["restoration"])
    assert set(metadata["training_subjects"].values()) == set(prepared.subjects)
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    assert read_description(tmp_path) == description


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": {"batch_size": 0}}, "expected sizes of at least 1, received batch_size 0"),
        ({"input": {"shape": ["batch", 0, 32, 1]}}, r"received batch_size 4 and shape \[0, 32\]"),
        ({"windows": {"overlap": 1.0}}, "overlap: expected at least 0 and below 1, received 1.0"),
    ],
)
def test_metadata_with_impossible_sizes_is_refused(prepared, tmp_path, change, message):
    metadata = json.loads(to_json(describe(prepared, TRAINING), "run", 2))
    for part, values in change.items():
        metadata[part] = metadata.get(part, {}) | values
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(RunError, match=f"metadata.json: .*{message}"):
        read_description(tmp_path)


def test_metadata_says_how_label_maps_are_cleaned_up(prepared):
    clean = CleanUp(("left",), {"right": 40})
    metadata = json.loads(to_json(describe(prepared, TRAINING), "run", 1, clean))
    assert metadata["clean_up"] == "largest:left,min:right=40"
    connected = "connected components (by a face, an edge or a corner)"
    assert metadata["restoration"][-2:] == [
        f"keep the largest of the {connected} of left",
        f"drop the {connected} of right of fewer than 40 voxels",
    ]


def test_metadata_says_which_slices_are_seen_together(prepared, tmp_path):
    training = TrainingConfig.model_validate({"input": {"neighbours": 2}})
    metadata = json.loads(to_json(describe(prepared, training), "run", 1))
    assert metadata["input"]["shape"] == ["batch", 32, 32, 5]
    assert "from 2 before a slice to 2 after it" in metadata["preparation"][-1]
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    assert read_description(tmp_path).neighbours == 2


def test_metadata_of_one_label(prepared_one_label):
    output = json.loads(to_json(describe(prepared_one_label, TRAINING), "run", 1))["output"]
    assert (output["activation"], output["classes"], output["label_values"]) == ("sigmoid", ["blob"], [1])
    assert output["decision"] == "foreground if the probability is at least 0.5"


def test_an_existing_folder_is_refused(networks, prepared, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError, match="exists"):
        write_export(networks, describe(prepared, TRAINING), tmp_path / "out", "run")


def test_a_missing_network_is_named_and_nothing_is_left(prepared, tmp_path):
    with pytest.raises(RunError, match=r"gone\.keras"):
        write_export([tmp_path / "gone.keras"], describe(prepared, TRAINING), tmp_path / "out", "run")
    assert list(tmp_path.iterdir()) == []


def test_every_format_gives_the_networks_probabilities_by_its_own_runtime(networks, exported, prepared):
    out, differences = exported
    image = prepared.cases_of(prepared.subjects[:1])[0].image[...]
    assert differences.keys() == {"savedmodel", "litert", "onnx"}
    assert max(differences.values()) < 1e-5
    names = {path.name for path in out.iterdir()}
    assert names >= {"saved_model.pb", "model.tflite", "model.onnx", "metadata.json"}
    own = compiled_forward(with_one_output(mean_network(networks)))
    for forward in (litert_forward(out / "model.tflite"), onnx_forward(out / "model.onnx")):
        np.testing.assert_allclose(forward(image), own(image), atol=1e-4)


def test_mc_is_a_pass_with_dropout_by_seed(exported, prepared):
    loaded = tf.saved_model.load(str(exported[0]))
    image = tf.constant(prepared.cases_of(prepared.subjects[:1])[0].image[:3])
    seed = tf.constant([[1, 2], [3, 4], [1, 2]], tf.int32)
    pass_ = loaded.signatures["mc"](image=image, seed=seed)["probability"].numpy()
    np.testing.assert_allclose(pass_.sum(axis=-1), 1, atol=1e-5)
    alone = loaded.signatures["mc"](image=image[1:2], seed=seed[1:2])["probability"].numpy()
    np.testing.assert_allclose(alone, pass_[1:2], atol=1e-5)  # whatever else is in the batch
    other = loaded.signatures["mc"](image=image, seed=seed + 1)["probability"].numpy()
    certain = loaded.signatures["serving_default"](image=image)["probability"].numpy()
    assert np.abs(other - pass_).mean() > 0.001
    passes = [
        loaded.signatures["mc"](image=image[:1], seed=tf.constant([[0, k]]))["probability"].numpy() for k in range(40)
    ]
    spread = np.std(passes, axis=0).mean()
    assert np.abs(np.mean(passes, axis=0) - certain[:1]).mean() < spread  # scattered about the prediction


def test_what_a_format_cannot_hold_is_refused(prepared, tmp_path):
    with pytest.raises(ConfigError, match="expected savedmodel, litert, onnx, received caffe"):
        check_formats(["caffe"])
    keras.utils.set_random_seed(0)
    network = unet((8, 8, 8, 1), 2, filters=2, depth=1)
    network.save(tmp_path / "3d.keras")
    arguments = ([tmp_path / "3d.keras"], describe(prepared, TRAINING))
    with pytest.raises(ConfigError, match="LiteRT has no 3D max pooling"):
        write_export(*arguments, tmp_path / "lite", "run", ["litert"])
    assert not (tmp_path / "lite").exists()
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 8, 1)).astype("float32")
    assert write_export(*arguments, tmp_path / "onnx", "run", ["savedmodel", "onnx"], images)["onnx"] < 1e-4


def test_litert_runs_a_3d_network_that_is_made_coarser_by_strided_convolutions(prepared, tmp_path):
    networks = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        networks.append(tmp_path / f"{seed}.keras")
        unet((8, 8, 8, 1), 2, filters=2, depth=1, downsampling="strided_convolution").save(networks[-1])
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 8, 1)).astype("float32")
    difference = write_export(networks, describe(prepared, TRAINING), tmp_path / "out", "run", ["litert"], images)
    assert difference["litert"] < 1e-5
    received = litert_forward(tmp_path / "out" / "model.tflite")(images)
    expected = np.mean([compiled_forward(keras.saving.load_model(path))(images) for path in networks], axis=0)
    np.testing.assert_allclose(received, expected, atol=1e-5)
