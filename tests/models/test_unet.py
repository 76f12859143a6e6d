"""The U-Net: size, shape, refused arguments, and loading without tfseg."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfseg.config.model import ModelConfig
from tfseg.models import MODELS, unet, unet_2d, unet_3d
from tfseg.models.blocks import dropout_rates


def test_default_has_the_weights_of_kethavath_2025():
    model = unet_2d((256, 256, 1), 1)
    assert round(model.count_params() / 1e6, 2) == 2.16
    widths = [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert widths[:10] == [16, 16, 32, 32, 64, 64, 128, 128, 256, 256]
    rates = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == pytest.approx([0, 0.2 / 3, 0.4 / 3, 0.2, 0.2, 0.4 / 3, 0.2 / 3, 0])


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


def test_a_size_that_cannot_be_halved_is_padded_and_cropped_back():
    """The same weights on the image padded with zeros at its end give the same probabilities on the image itself."""
    padding, whole = (unet_2d(shape, 3, filters=2, depth=2) for shape in ((13, 18, 1), (16, 20, 1)))
    whole.set_weights(padding.get_weights())
    image = np.random.default_rng(0).normal(size=(2, 13, 18, 1)).astype("float32")
    padded = np.pad(image, ((0, 0), (0, 3), (0, 2), (0, 0)))
    np.testing.assert_allclose(np.asarray(padding(image)), np.asarray(whole(padded))[:, :13, :18], atol=1e-6)


def test_rank_is_checked():
    for build, shape, message in (
        (unet_2d, (16, 16, 16, 1), r"unet_2d expected \(h, w, channels\), received \(16, 16, 16, 1\)"),
        (unet_3d, (16, 16, 1), r"unet_3d expected \(d, h, w, channels\), received \(16, 16, 1\)"),
        (unet, (16, 1), r"expected \(h, w, channels\) or \(d, h, w, channels\), received 2 entries"),
    ):
        with pytest.raises(ValueError, match=message):
            build(shape, 1)


def shapes_of(model, kind):
    """Return the spatial output shapes of all layers of a kind."""
    return [layer.output.shape[1:-1] for layer in model.layers if isinstance(layer, kind)]


def test_pooling_halves_some_axes_less_often():
    model = unet((4, 16, 16, 1), 2, filters=2, depth=2, pooling=[(1, 2, 2), (2, 2, 2)])
    assert shapes_of(model, keras.layers.MaxPooling3D) == [(4, 8, 8), (2, 4, 4)]
    assert shapes_of(model, keras.layers.Conv3DTranspose) == [(4, 8, 8), (4, 16, 16)]
    assert model.output_shape == (None, 4, 16, 16, 2)


def test_only_axes_that_are_halved_are_padded():
    model = unet((3, 15, 16, 1), 2, filters=2, depth=2, pooling=[(1, 2, 2), (1, 2, 2)])
    assert shapes_of(model, keras.layers.Conv3D)[0] == (3, 16, 16)
    assert model.output_shape == (None, 3, 15, 16, 2)


@pytest.mark.parametrize("size", [(7, 8, 9), (10, 12, 12), (1, 5, 6)])
def test_sizes_that_cannot_be_halved_run_in_a_graph_and_are_filled_with_zeros(size):
    """With oneDNN, TensorFlow takes a padding and the convolution after it as one step, which fails in 3D."""
    model = unet_3d((*size, 1), 2, filters=2, depth=2)
    image = np.random.default_rng(0).normal(size=(2, *size, 1)).astype("float32")
    missing = [(0, -length % 4) for length in size]
    filled = [length + more for length, (_, more) in zip(size, missing, strict=True)]
    whole = unet_3d((*filled, 1), 2, filters=2, depth=2)
    whole.set_weights(model.get_weights())
    expected = np.asarray(whole(np.pad(image, [(0, 0), *missing, (0, 0)])))[:, : size[0], : size[1], : size[2]]
    np.testing.assert_allclose(np.asarray(tf.function(model)(image)), expected, atol=1e-6)


def test_filters_double_at_the_first_stages_only():
    model = unet((32, 32, 1), 1, filters=2, depth=4, doublings=2, convolutions=(2, 1))
    widths = [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert widths == [2, 2, 4, 4, 8, 8, 8, 8, 8, 8, 8, 8, 4, 2, 1]


def test_deep_supervision_gives_the_finest_levels_an_output_each():
    model = unet((21, 24, 1), 3, filters=2, depth=3, deep_supervision=3)
    assert model.output_names == ["probability", "probability_1", "probability_2"]
    assert model.output_shape == [(None, 21, 24, 3), (None, 11, 12, 3), (None, 6, 6, 3)]
    for output in model(np.ones((1, 21, 24, 1), "float32")):
        np.testing.assert_allclose(np.asarray(output).sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("shape", [(12, 16, 1), (8, 12, 16, 1)])
@pytest.mark.parametrize(
    "option",
    [
        {"attention": True},
        {"residual": True},
        {"upsampling": "linear"},
        {"downsampling": "strided_convolution"},
        {"norm": "group", "norm_groups": 2},
        {"activation": "gelu"},
    ],
    ids=lambda option: next(iter(option)),
)
def test_every_option_builds_in_both_ranks_and_changes_the_network(shape, option):
    plain, other = (unet(shape, 2, filters=4, depth=2, dropout=(0, 0), **settings) for settings in ({}, option))
    assert other.output_shape == (None, *shape[:-1], 2)
    assert [type(layer).__name__ for layer in plain.layers] != [type(layer).__name__ for layer in other.layers] or (
        option == {"activation": "gelu"}
        and any(layer.get_config().get("activation") == "gelu" for layer in other.layers)
    )


def test_options_out_of_range_are_refused():
    for settings, message in (
        ({"norm": "layer"}, "norm: expected batch, instance, group or none, received 'layer'"),
        ({"norm": "group", "norm_groups": 3}, "norm_groups: expected a divisor of 4 filters, received 3"),
        ({"pooling": [(2, 2)]}, r"pooling: expected 2 factors of 2 axes of at least 1, received \[\(2, 2\)\]"),
        ({"deep_supervision": 3}, "deep_supervision: expected one of 1, 2, received 3"),
        ({"downsampling": "none"}, "downsampling: expected one of max_pool, strided_convolution, received 'none'"),
        ({"upsampling": "cubic"}, "upsampling: expected one of transposed, linear, received 'cubic'"),
    ):
        with pytest.raises(ValueError, match=message):
            unet((16, 16, 1), 1, filters=4, depth=2, **settings)


def test_dropout_layers_carry_stable_names():
    for _ in range(2):
        model = unet_2d((16, 16, 1), 1, filters=2, depth=2)
        names = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
        assert names == ["dropout_down_0", "dropout_down_1", "dropout_up_1", "dropout_up_0"]


def test_a_preset_is_its_config():
    """A configuration that names a network holds the settings that its builder uses."""
    for name in ("unet_2d_standard", "unet_3d_light", "unet_3d_deep"):
        config, build = ModelConfig(name=name), MODELS[name]
        shape = (32,) * config.rank + (1,)
        settings = config.model_dump(exclude={"name"}) | {"filters": 2, "norm": "batch"}
        named = build(shape, 2, filters=2, norm="batch")
        assert named.count_params() == unet(shape, 2, **settings).count_params()
        assert (named.name, len(named.outputs)) == (name, config.deep_supervision)


def test_dropout_rates_are_interpolated_linearly():
    assert dropout_rates((0.1, 0.3), 3) == pytest.approx([0.1, 0.2, 0.3])
    assert dropout_rates((0.1, 0.3), 1) == [0.1]


def test_saved_network_opens_without_tfseg(tmp_path):
    options = {"attention": True, "residual": True, "upsampling": "linear", "activation": "leaky_relu"}
    model = unet((5, 7, 8, 1), 3, filters=2, depth=2, **options)
    model.save(tmp_path / "model.keras")
    image = np.linspace(0, 1, 280, dtype="float32").reshape(1, 5, 7, 8, 1)
    np.save(tmp_path / "image.npy", image)
    script = (
        "import sys, numpy as np, keras\n"
        "model = keras.saving.load_model('model.keras')\n"
        "assert not any(name.split('.')[0] == 'tfseg' for name in sys.modules)\n"
        "np.save('output.npy', model(np.load('image.npy')))\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "output.npy"), np.asarray(model(image)), atol=1e-6)
