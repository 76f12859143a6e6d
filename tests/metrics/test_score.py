import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tfseg.metrics import score, surface

GOLDEN = Path(__file__).parents[3] / "shared" / "golden"
METRICS = [
    "dice", "iou", "precision", "recall", "specificity", "accuracy",
    "hd", "hd95", "assd", "masd", "nsd", "volume_truth_ml", "volume_prediction_ml",
]  # fmt: skip
OVERLAP = ["dice", "iou", "precision", "recall"]
DISTANCES = ["hd", "hd95", "assd", "masd"]


def values(*args, **kwargs):
    """Scores of label 1 as a dict."""
    table = score(*args, **{"labels": {1: "organ"}, **kwargs})
    return dict(zip(table["metric"], table["value"], strict=True))


def cube(dtype=np.uint8):
    mask = np.zeros((12, 10, 9), dtype)
    mask[3:7, 2:6, 4:8] = 1
    return mask


def test_the_table_has_one_row_per_label_and_metric_in_order():
    truth = np.arange(27).reshape(3, 3, 3) % 4
    table = score(truth, truth, spacing_mm=(1, 1, 1), labels={3: "spleen", 1: "liver"})
    assert list(table.columns) == ["label", "metric", "value"]
    assert table["label"].tolist() == ["spleen"] * 13 + ["liver"] * 13
    assert table["metric"].tolist() == METRICS * 2
    assert table["value"].dtype == np.float64


def test_shifted_cube_by_hand():
    truth = cube()
    got = values(truth, np.roll(truth, 1, axis=0), spacing_mm=(2.0, 1.0, 0.5), tolerance_mm=1.9)
    assert got["dice"] == got["precision"] == got["recall"] == 48 / 64
    assert got["iou"] == 48 / 80
    assert got["specificity"] == 1 - 16 / (1080 - 64)
    assert got["accuracy"] == 1 - 32 / 1080
    assert got["hd"] == got["hd95"] == 2
    # 20 of 56 surface voxels lie off the other surface: the 4×4 plane left behind, and the 4 inner
    # voxels of the opposite plane, of which the other's surface holds only the rim.
    behind, inner = 16 * 2.0, 4 * 0.5
    assert got["assd"] == pytest.approx((behind + inner) / 56)
    assert got["masd"] == pytest.approx((behind + inner) / 56)  # both surfaces have 56 voxels
    assert got["nsd"] == 1 - 16 / 56
    assert got["volume_truth_ml"] == got["volume_prediction_ml"] == 0.064


def test_shifted_square_by_hand_in_2d():
    truth = np.zeros((12, 20), np.uint8)
    truth[2:7, 3:8] = 1  # 25 pixels, 16 of them its surface
    got = values(truth, np.roll(truth, 2, axis=1), spacing_mm=(0.5, 1.5), tolerance_mm=1.5)
    assert got["dice"] == got["precision"] == got["recall"] == 15 / 25
    assert got["accuracy"] == 1 - 20 / 240
    assert got["hd"] == got["hd95"] == 3
    # Upper and lower side: 3 and 1.5 away, then three pixels on the other surface. The side left behind: three pixels
    # 3 away. The side inside the other square: its rows are 0.5, 1 and 0.5 below or above the other's sides.
    assert got["assd"] == (2 * (3 + 1.5) + 3 * 3 + (0.5 + 1 + 0.5)) / 16
    assert got["nsd"] == (2 * 4 + 3) / 16


def test_identical_masks():
    got = values(cube(), cube(), spacing_mm=(3, 1, 1), tolerance_mm=0)
    assert [got[name] for name in METRICS[:11]] == [1] * 6 + [0] * 4 + [1]


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 4)])
class TestEmptyCases:
    def masks(self, shape):
        some = np.zeros(shape, np.uint8)
        some[2:4, 1:3] = 1
        return np.zeros(shape, np.uint8), some

    def test_both_empty(self, shape):
        empty, _ = self.masks(shape)
        got = values(empty, empty, spacing_mm=(1,) * len(shape))
        assert np.isnan([got[name] for name in [*OVERLAP, *DISTANCES, "nsd"]]).all()
        assert got["specificity"] == got["accuracy"] == 1

    def test_missed(self, shape):
        empty, some = self.masks(shape)
        got = values(some, empty, spacing_mm=(1,) * len(shape))
        assert [got[name] for name in [*OVERLAP, *DISTANCES, "nsd"]] == [0] * 4 + [np.inf] * 4 + [0]
        assert got["specificity"] == 1

    def test_false_alarm(self, shape):
        empty, some = self.masks(shape)
        got = values(empty, some, spacing_mm=(1,) * len(shape))
        assert [got[name] for name in [*OVERLAP, *DISTANCES, "nsd"]] == [0] * 4 + [np.inf] * 4 + [0]
        assert got["specificity"] < 1


def test_volumes_of_empty_masks_are_0_and_nan_without_spacing_or_in_2d():
    got = values(cube(), np.zeros_like(cube()), spacing_mm=(1, 1, 2))
    assert (got["volume_truth_ml"], got["volume_prediction_ml"]) == (0.128, 0)
    for got in (values(cube(), cube()), values(cube()[5], cube()[5], spacing_mm=(1, 1))):
        assert np.isnan([got["volume_truth_ml"], got["volume_prediction_ml"]]).all()


def test_a_2d_image_is_scored_in_pixels_and_the_table_says_so():
    image = cube()[5]
    in_pixels = score(image, np.roll(image, 3, axis=1), labels={1: "tumour"})
    in_mm = score(image, np.roll(image, 3, axis=1), labels={1: "tumour"}, spacing_mm=(1, 1))
    assert (in_pixels.attrs["unit"], in_mm.attrs["unit"]) == ("px", "mm")
    np.testing.assert_array_equal(in_pixels["value"], in_mm["value"])


@pytest.mark.parametrize("dtype", [np.bool_, *np.typecodes["AllInteger"]])
def test_every_integer_type_gives_the_same_scores(dtype):
    truth, prediction = cube(), np.roll(cube(), 1, axis=2)
    expected = score(truth, prediction, spacing_mm=(1, 2, 3), labels={1: "organ", 2: "absent"})
    for typed in ((truth.astype(dtype), prediction), (truth, prediction.astype(dtype))):
        got = score(*typed, spacing_mm=(1, 2, 3), labels={1: "organ", 2: "absent"})
        np.testing.assert_array_equal(got["value"], expected["value"])


def test_memory_order_padding_and_lists_make_no_difference():
    truth, prediction = cube(), np.roll(cube(), 1, axis=2)
    expected = values(truth, prediction, spacing_mm=(1, 2, 3))
    assert values(np.asfortranarray(truth), prediction[::-1][::-1], spacing_mm=(1, 2, 3)) == expected
    assert values(truth.tolist(), prediction.tolist(), spacing_mm=(1, 2, 3)) == expected
    padded = values(np.pad(truth, 4), np.pad(prediction, 4), spacing_mm=(1, 2, 3))
    assert [padded[name] for name in [*OVERLAP, *DISTANCES]] == [expected[name] for name in [*OVERLAP, *DISTANCES]]


def test_inputs_are_left_alone():
    truth, prediction = cube(), np.roll(cube(), 1, axis=2)
    truth[0] = 255
    before = truth.copy(), prediction.copy()
    values(truth, prediction, ignore_label=255)
    np.testing.assert_array_equal(truth, before[0])
    np.testing.assert_array_equal(prediction, before[1])


def test_labels_far_apart_and_background_on_request():
    truth = np.where(cube(np.int64) == 1, 10**12, -7)
    table = score(truth, np.roll(truth, 1, axis=0), labels={10**12: "organ", -7: "rest", 0: "background"})
    first, rest, background = (table["value"].to_numpy()[i * 13 : i * 13 + 13] for i in range(3))
    assert first[0] == 48 / 64
    assert rest[0] == pytest.approx((1016 - 16) / 1016)
    assert np.isnan(background[0])


def test_a_single_slice_is_scored_as_the_plane_it_is():
    """An axis of one voxel is no dimension: distances as in 2D, volumes with the slice's thickness."""
    rng = np.random.default_rng(0)
    truth, prediction = (rng.integers(0, 3, (9, 11)) for _ in range(2))
    labels = {1: "a", 2: "b", 5: "absent"}
    plane = score(truth, prediction, labels=labels, spacing_mm=(2, 3), ignore_label=0)
    for axis in range(3):
        slices = (np.expand_dims(each, axis) for each in (truth, prediction))
        spacing_mm = np.insert([2.0, 3.0], axis, 7.0)
        table = score(*slices, labels=labels, spacing_mm=spacing_mm, ignore_label=0)
        is_volume = table["metric"].str.startswith("volume")
        pd.testing.assert_frame_equal(table[~is_volume], plane[~is_volume])
        expected = [np.count_nonzero(truth == 1) * 0.042, np.count_nonzero((prediction == 1) & (truth > 0)) * 0.042]
        np.testing.assert_allclose(table[is_volume & (table["label"] == "a")]["value"], expected)


def test_ignored_voxels_are_counted_nowhere():
    truth, prediction = cube(), np.roll(cube(), 1, axis=0)
    truth[7] = 255  # the plane where the prediction overshoots
    got = values(truth, prediction, spacing_mm=(1, 1, 1), ignore_label=255)
    cropped = values(np.delete(cube(), 7, axis=0), np.delete(prediction, 7, axis=0), spacing_mm=(1, 1, 1))
    for name in METRICS[:6]:
        assert got[name] == cropped[name]
    assert got["precision"] == 1
    assert got["volume_prediction_ml"] == 0.048


@pytest.mark.parametrize("ndim", [2, 3])
def test_ignored_voxels_have_no_surface(ndim):
    truth, stray = np.zeros((2, *(12,) * ndim), np.uint8)
    truth[(slice(1, 4),) * ndim] = 1
    stray[(10,) * ndim] = 1
    marked = np.where(stray == 1, 9, truth)
    assert values(truth, truth | stray)["hd"] == pytest.approx(7 * ndim**0.5)
    assert values(marked, truth | stray, ignore_label=9)["hd"] == 0
    alone = values(np.where(stray == 1, 9, 0), stray, ignore_label=9)  # no false alarm, but both empty
    assert np.isnan([alone[name] for name in [*OVERLAP, *DISTANCES, "nsd"]]).all()
    assert alone["specificity"] == 1


def test_distances_are_measured_once_per_label(monkeypatch):
    measured, original = [], surface.surface_distances
    monkeypatch.setattr(surface, "surface_distances", lambda *masks: measured.append(1) or original(*masks))
    score(cube(), cube(), spacing_mm=(1, 1, 1), labels={1: "organ", 2: "absent"})
    assert len(measured) == 2


def test_all_voxels_ignored():
    got = values(np.full((3, 3), 9), np.ones((3, 3), int), ignore_label=9)
    assert np.isnan(list(got.values())).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"truth": np.zeros((3, 3, 3))}, "truth: expected integer or boolean labels, received float64"),
        ({"prediction": np.zeros((3, 3, 3), np.float32)}, "prediction: expected .* received float32"),
        ({"prediction": np.zeros((3, 3, 2), int)}, r"the truth's shape \(3, 3, 3\), received \(3, 3, 2\)"),
        ({"truth": np.zeros(3, int)}, r"truth: expected 2 or 3 dimensions, received shape \(3,\)"),
        ({"truth": np.zeros((3, 3, 3, 1), int)}, "truth: expected 2 or 3 dimensions"),
        ({"spacing_mm": (1, 1)}, r"spacing_mm: expected 3 positive finite numbers, received \(1.0, 1.0\)"),
        ({"spacing_mm": (1, 0, 1)}, "spacing_mm"),
        ({"spacing_mm": (1, np.nan, 1)}, "spacing_mm"),
        ({"tolerance_mm": -1}, "tolerance_mm: expected a finite number of at least 0, received -1"),
        ({"tolerance_mm": np.nan}, "tolerance_mm"),
        ({"tolerance_mm": np.inf}, "tolerance_mm"),
        ({"labels": {}}, "labels: expected a mapping"),
        ({"labels": {"1": "organ"}}, "labels: expected a mapping"),
        ({"labels": {1: "organ", 2: "organ"}}, "labels: expected distinct names"),
        ({"labels": {1: "mean"}}, 'labels: expected distinct names other than "mean"'),
        ({"ignore_label": 1}, "labels: expected none to be ignore_label=1"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(changes, message):
    zeros = np.zeros((3, 3, 3), int)
    arguments = {"truth": zeros, "prediction": zeros, "labels": {1: "organ"}, **changes}
    with pytest.raises(ValueError, match=message):
        score(arguments.pop("truth"), arguments.pop("prediction"), **arguments)


def test_scoring_loads_neither_keras_nor_tensorflow():
    code = (
        "import sys, numpy as np; from tfseg.metrics import score; "
        "score(np.ones((3, 3), int), np.ones((3, 3), int), labels={1: 'a'}); "
        "print([name for name in ('keras', 'tensorflow', 'jax', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(not GOLDEN.exists(), reason="the reference values lie outside the project, in ../shared/golden")
@pytest.mark.parametrize("name", ["mask2d", "mask3d"])
class TestGolden:
    @pytest.fixture
    def case(self, name):
        with np.load(GOLDEN / "reference.npz") as arrays:
            truth, prediction = arrays[f"{name}_a"], arrays[f"{name}_b"]
        return truth, prediction, json.loads((GOLDEN / "reference.json").read_text())["metrics"][name]

    def test_scores(self, case):
        truth, prediction, golden = case
        got = values(truth, prediction, spacing_mm=golden["spacing_mm"])
        for metric in ("dice", "iou", "precision", "recall", "specificity"):
            assert got[metric] == pytest.approx(golden[metric], rel=1e-6)
        assert got["hd"] == pytest.approx(golden["hd_medpy"], rel=1e-6)
        assert got["hd95"] == pytest.approx(golden["hd95_monai_max_of_directed"], rel=1e-6)

    def test_nsd_counts_voxels(self, case):
        truth, prediction, golden = case
        for tolerance, expected in golden["nsd_monai"].items():
            got = values(truth, prediction, spacing_mm=golden["spacing_mm"], tolerance_mm=float(tolerance))
            assert got["nsd"] == pytest.approx(expected, rel=1e-6)

    def test_directed_distances(self, case):
        truth, prediction, golden = case
        distances = surface.surface_distances(truth, prediction, golden["spacing_mm"])
        for package in ("medpy", "monai"):
            assert surface.assd(distances) == pytest.approx(golden[f"assd_{package}"], rel=1e-6)
        assert np.percentile(np.concatenate(distances), 95) == pytest.approx(golden["hd95_medpy_pooled"], rel=1e-6)
