"""The SavedModel gives the run's own predictions, in a process that cannot import tfseg."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from tfseg.config.training import InputConfig
from tfseg.core.errors import ConfigError, RunError
from tfseg.models import unet_2d
from tfseg.prediction.export import describe, write_saved_model
from tfseg.prediction.forward import compiled_forward
from tfseg.prediction.slices import SlicePredictor

SLICES = InputConfig()

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


@pytest.fixture
def networks(prepared, tmp_path):
    paths = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        paths.append(tmp_path / f"{seed}.keras")
        unet_2d(prepared.image_shape, prepared.targets.channels, filters=2, depth=2).save(paths[-1])
    return paths


@pytest.mark.parametrize("count", [1, 2])
def test_saved_model_gives_the_runs_own_predictions(networks, prepared, tmp_path, count):
    write_saved_model(networks[:count], prepared, tmp_path / "exported", "run", SLICES)
    image = prepared.cases_of(prepared.subjects[:1])[0].image[...]
    np.save(tmp_path / "image.npy", image)
    done = subprocess.run([sys.executable, "-c", WITHOUT_TFSEG], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "[1,48,32,1] is not compatible with expected shape [?,32,32,1]" in done.stdout
    forwards = [compiled_forward(keras.saving.load_model(path)) for path in networks[:count]]
    own = np.mean([np.concatenate(list(SlicePredictor(forward, 4).blocks(image))) for forward in forwards], axis=0)
    np.testing.assert_allclose(np.load(tmp_path / "answer.npy"), own, atol=1e-5)


def test_metadata_describes_input_and_output(networks, prepared, tmp_path):
    metadata = json.loads(
        (write_saved_model(networks, prepared, tmp_path / "out", "run", SLICES) / "metadata.json").read_text()
    )
    assert metadata["input"]["shape"] == ["batch", 32, 32, 1]
    assert metadata["output"]["classes"] == ["background", "left", "right"]
    assert metadata["output"]["label_values"] == [0, 1, 2]
    assert metadata["networks"] == 2
    assert metadata["recipe"]["scaling"] == "zscore"


def test_metadata_of_one_label(prepared_one_label):
    output = describe(prepared_one_label, 1, "run", SLICES)["output"]
    assert (output["activation"], output["classes"], output["label_values"]) == ("sigmoid", ["blob"], [1])
    assert output["decision"] == "foreground if the probability is at least 0.5"


def test_an_existing_folder_is_refused(networks, prepared, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError, match="exists"):
        write_saved_model(networks, prepared, tmp_path / "out", "run", SLICES)


def test_a_missing_network_is_named_and_nothing_is_left(prepared, tmp_path):
    with pytest.raises(RunError, match=r"gone\.keras"):
        write_saved_model([tmp_path / "gone.keras"], prepared, tmp_path / "out", "run", SLICES)
    assert list(tmp_path.iterdir()) == []
