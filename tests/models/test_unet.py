"""The U-Net: size, shape, refused arguments, and loading without tfseg."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from tfseg.models import unet_2d
from tfseg.models.blocks import dropout_rates
from tfseg.models.unet import unet


def test_default_has_the_weights_of_kethavath_2025():
    model = unet_2d((256, 256, 1), 1)
    assert round(model.count_params() / 1e6, 2) == 2.16
    widths = [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert widths[:10] == [16, 16, 32, 32, 64, 64, 128, 128, 256, 256]
    rates = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == pytest.approx([0.15, 0.2, 0.25, 0.3, 0.3, 0.25, 0.2, 0.15])


@pytest.mark.parametrize("classes", [1, 4])
def test_output_is_a_probability_for_each_class_and_pixel(classes):
    model = unet_2d((32, 48, 2), classes, filters=4, depth=2)
    image = np.random.default_rng(0).normal(size=(3, 32, 48, 2)).astype("float32")
    output = np.asarray(model(image))
    assert output.shape == (3, 32, 48, classes)
    assert output.min() >= 0 and output.max() <= 1
    if classes > 1:
        np.testing.assert_allclose(output.sum(-1), 1, atol=1e-5)


def test_the_same_builder_makes_a_network_for_volumes():
    model = unet((16, 16, 8, 1), 3, filters=2, depth=2)
    assert model(np.zeros((1, 16, 16, 8, 1), "float32")).shape == (1, 16, 16, 8, 3)


@pytest.mark.parametrize(("norm", "layer"), [("batch", "BatchNormalization"), ("instance", "GroupNormalization")])
def test_norm_chooses_the_layer(norm, layer):
    model = unet_2d((16, 16, 1), 1, filters=2, depth=1, norm=norm)
    layers = {type(each).__name__ for each in model.layers if "Normalization" in type(each).__name__}
    assert layers == {layer}


def test_without_norm_convolutions_have_a_bias():
    model = unet_2d((16, 16, 1), 1, filters=2, depth=1, norm="none")
    assert all(layer.use_bias for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    assert not any("Normalization" in type(layer).__name__ for layer in model.layers)


def test_skips_reach_the_output():
    """A detail too fine for the coarsest stage changes the prediction at its position."""
    model = unet_2d((32, 32, 1), 1, filters=4, depth=3, norm="none")
    image = np.zeros((1, 32, 32, 1), "float32")
    spotted = image.copy()
    spotted[0, 10, 20, 0] = 5
    change = np.abs(np.asarray(model(spotted)) - np.asarray(model(image)))[0, ..., 0]
    near = np.zeros(change.shape, bool)
    near[8:13, 18:23] = True
    assert change[near].mean() > 2 * change[~near].mean()


def test_sides_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match=r"divisible by 2\^depth = 16, received \(40, 48\)"):
        unet_2d((40, 48, 1), 1)


def test_rank_is_checked():
    with pytest.raises(ValueError, match=r"expected \(h, w, channels\)"):
        unet_2d((16, 16, 16, 1), 1)


def test_dropout_rates_are_interpolated_linearly():
    assert dropout_rates((0.1, 0.3), 3) == pytest.approx([0.1, 0.2, 0.3])
    assert dropout_rates((0.1, 0.3), 1) == [0.1]


def test_saved_network_opens_without_tfseg(tmp_path):
    model = unet_2d((16, 16, 1), 3, filters=2, depth=2)
    model.save(tmp_path / "model.keras")
    image = np.linspace(0, 1, 256, dtype="float32").reshape(1, 16, 16, 1)
    np.save(tmp_path / "image.npy", image)
    script = (
        "import sys, numpy as np, keras\n"
        "model = keras.saving.load_model('model.keras')\n"
        "assert not any(name.split('.')[0] == 'tfseg' for name in sys.modules)\n"
        "np.save('output.npy', model(np.load('image.npy')))\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "output.npy"), np.asarray(model(image)), atol=1e-6)


def test_an_unknown_norm_is_refused():
    with pytest.raises(ValueError, match="norm: expected batch, instance or none, received 'layer'"):
        unet_2d((32, 32, 1), 1, norm="layer")
