"""Values of other packages for the same inputs."""

import json
from pathlib import Path

import numpy as np
import pytest

from tfseg.losses import get

GOLDEN = Path(__file__).parents[3] / "shared" / "golden"
pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="no shared/golden beside the checkout")

TVERSKY = {"alpha": 0.3, "beta": 0.7}
BINARY = [
    ("dice per sample smooth 1e-5", "dice", {}),
    ("dice over batch", "dice", {"overlap_over": "batch"}),
    ("jaccard per sample", "jaccard", {}),
    ("tversky alpha(FP)=0.3 beta(FN)=0.7 per sample", "tversky", TVERSKY),
    ("bce per sample", "bce", {}),
    ("focal gamma=2 no alpha per sample", "focal", {"alpha": None}),
    ("focal gamma=2 alpha=0.6 per sample", "focal", {"alpha": 0.6}),
]
CASES = [(f"{data}/{key}", name, params) for data in ("binary2d", "binary3d") for key, name, params in BINARY] + [
    ("binary2d/log_cosh mean per sample", "log_cosh", {}),
    ("binary3d/log_cosh mean per sample", "log_cosh", {}),
    ("binary2d/hausdorff_dt alpha=2 mean over batch", "hausdorff_dt", {}),
    ("binary3d/hausdorff_dt alpha=2 mean over batch", "hausdorff_dt", {}),
    ("multi2d/hausdorff_dt alpha=2 mean background out", "hausdorff_dt", {}),
    ("multi2d/dice mean, background out", "dice", {}),
    ("multi2d/ce mean", "ce", {}),
    ("multi2d/dice_ce mean (dice background in)", "dice_ce", {"include_background": True}),
    ("multi2d/tversky 0.3 0.7 mean background out", "tversky", TVERSKY),
]


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "reference.npz") as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def values() -> dict[str, list[float] | float]:
    return json.loads((GOLDEN / "reference.json").read_text())["losses"]


@pytest.mark.parametrize(("key", "name", "params"), CASES, ids=[case[0] for case in CASES])
def test_value_is_the_reference(arrays, values, key, name, params):
    data = key.split("/")[0]
    truth = arrays["multi2d_label" if data == "multi2d" else f"{data}_true"]
    loss = get(name, reduction=None, dtype="float64", **params)
    computed = loss(truth, arrays[f"{data}_prob"]).numpy()
    expected = np.asarray(values[key])
    if expected.ndim == 0:
        computed = computed.mean()
    np.testing.assert_allclose(computed, expected, rtol=2e-7, atol=1e-7)


@pytest.mark.parametrize("data", ["binary2d", "binary3d"])
def test_log_hausdorff(arrays, values, data):
    """The reference takes the logarithm of the batch's mean, ours that of each sample."""
    loss = get("log_hausdorff_dt", reduction=None, dtype="float64")
    distances = np.expm1(loss(arrays[f"{data}_true"], arrays[f"{data}_prob"]))
    expected = values[f"{data}/log_hausdorff_dt alpha=2 mean over batch"]
    np.testing.assert_allclose(np.log1p(distances.mean()), expected, rtol=2e-7)


def test_dice_of_each_class(arrays, values):
    expected = np.reshape(values["multi2d/dice per sample and class, background in"], (3, 4))
    for label in range(4):
        only = [float(label == other) for other in range(4)]
        loss = get("dice", class_weights=only, include_background=True, reduction=None, dtype="float64")
        computed = loss(arrays["multi2d_label"], arrays["multi2d_prob"])
        np.testing.assert_allclose(computed, expected[:, label], atol=1e-7)


def test_ssim(arrays, values):
    computed = 1 - get("ssim", reduction=None, dtype="float64")(arrays["binary2d_true"], arrays["binary2d_prob"])
    expected = values["binary2d/ssim gaussian 11x11 sigma 1.5 L=1 per sample"]
    np.testing.assert_allclose(computed, expected, atol=1e-7)


def test_generalized_dice(arrays, values):
    """The reference's weights are 1/n², ours (smallest n / n)²: so its smoothing is ours over the smallest n²."""
    labels, probabilities = arrays["multi2d_label"], arrays["multi2d_prob"]
    computed = []
    for label, predicted in zip(labels, probabilities, strict=True):
        volumes = [int((label == value).sum()) for value in (1, 2, 3)]
        smoothing = 1e-5 * min(volume for volume in volumes if volume) ** 2
        loss = get("generalized_dice", smoothing=smoothing, dtype="float64")
        computed.append(float(loss(label[None], predicted[None])))
    expected = values["multi2d/generalized_dice mean background out"]
    np.testing.assert_allclose(np.mean(computed), expected, rtol=2e-6)
