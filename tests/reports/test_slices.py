import base64
import io
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

from tfseg.core import colors
from tfseg.preparation.label_maps import IGNORED
from tfseg.preparation.slicing import SliceGrid
from tfseg.prepared.prepared import PreparedCase
from tfseg.reports import slices


def decoded(uri: str) -> bytes:
    return base64.b64decode(uri.partition("base64,")[2])


def labels(*areas: int) -> np.ndarray:
    volume = np.zeros((len(areas), 4, 5), np.uint8)
    for slice_, area in zip(volume, areas, strict=True):
        slice_.flat[:area] = 1
    return volume


def test_slices_span_the_truth_and_show_the_worst() -> None:
    truth = labels(0, 1, 2, 3, 9, 3, 2, 1, 1, 1, 0)
    prediction = truth.copy()
    prediction[9] = 1
    assert slices.choose_slices(truth, prediction) == {
        3: "25% of the truth’s extent",
        4: "largest truth",
        7: "75% of the truth’s extent",
        9: "most wrong voxels",
    }


def test_slices_fill_up_with_the_wrong_ones() -> None:
    truth, prediction = labels(0, 0, 6, 0, 0), labels(2, 0, 1, 3, 0)
    chosen = slices.choose_slices(truth, prediction)
    assert chosen == {0: "many wrong voxels", 2: "largest truth; most wrong voxels", 3: "many wrong voxels"}
    assert list(slices.choose_slices(truth, prediction, count=2)) == [2, 3]


def test_the_worst_slice_of_several_predictions_is_that_of_their_sum() -> None:
    truth = labels(0, 5, 6, 0)
    first, second = labels(2, 5, 6, 0), labels(0, 5, 3, 3)
    assert slices.largest_and_worst(truth, first, second) == {2: "largest truth; most wrong voxels"}
    assert slices.largest_and_worst(truth, first) == {0: "most wrong voxels", 2: "largest truth"}
    assert slices.largest_and_worst(truth, truth) == {2: "largest truth"}
    assert slices.largest_and_worst(labels(0, 0, 0), labels(0, 0, 2), labels(0, 1, 1)) == {
        2: "largest prediction; most wrong voxels"
    }
    assert slices.largest_and_worst(labels(0, 0, 0), labels(0, 0, 0)) == {1: "middle of the scan; no label"}


def test_slices_where_the_truth_is_empty() -> None:
    assert slices.choose_slices(labels(0, 0, 0), labels(0, 4, 0)) == {1: "largest prediction; most wrong voxels"}
    assert list(slices.choose_slices(labels(0, 0, 0), labels(0, 0, 0))) == [1]


def test_crop_holds_the_mask_and_stays_inside() -> None:
    mask = np.zeros((40, 50), bool)
    mask[0:3, 45:50] = True
    rows, columns = slices.crop(mask, (1.0, 1.0))
    assert (rows, columns) == (slice(0, 16), slice(30, 50))
    mask[:] = True
    assert slices.crop(mask, (1.0, 1.0)) == (slice(0, 40), slice(0, 50))
    assert slices.crop(~mask, (1.0, 1.0)) == (slice(0, 40), slice(0, 50))


def test_crop_measures_in_millimetres() -> None:
    mask = np.zeros((100, 100), bool)
    mask[30:70, 49:51] = True
    rows, columns = slices.crop(mask, (1.0, 0.5))
    assert rows.stop - rows.start == 60
    assert columns.stop - columns.start == 96  # 0.8 · 60 mm


def made_case(spacing: tuple[float, float, float] = (1, 1, 3)) -> PreparedCase:
    """An axial scan, bright where x (to the right) and y (to the front) are high, padded to 16 × 24."""
    shape = (12, 20, 3)
    grid = SliceGrid.of(shape, np.diag([*spacing, 1.0]), "axial", (16, 24))
    image = np.zeros((*shape, 1), np.float32)
    image[6:, 10:] = 1
    label = np.zeros(shape, np.uint8)
    label[6:, 10:, 1] = 1
    return PreparedCase("a", "a", grid.to_slices(image), grid.to_slices(label), grid)


def test_a_case_stands_upright_as_a_radiologist_sees_it() -> None:
    case = made_case()
    (panel,) = slices.draw_case(case, np.asarray(case.label))
    drawn = imread(io.BytesIO(decoded(panel.errors)))[..., :3].mean(axis=2)
    height, width = drawn.shape
    assert drawn[height // 8, width // 8] > 0.5, "the patient's right front is at the upper left"
    assert drawn[height // 8, -width // 8] < 0.1
    assert drawn[-height // 8, width // 8] < 0.1
    assert panel.index == 1


def test_a_case_keeps_its_proportions() -> None:
    case = made_case(spacing=(2, 1, 3))
    (panel,) = slices.draw_case(case, np.asarray(case.label))
    drawn = imread(io.BytesIO(decoded(panel.errors)))
    rows, columns = slices.crop(case.grid.unpad(case.label)[1] > 0, (2.0, 1.0))
    expected = (columns.stop - columns.start) / (2 * (rows.stop - rows.start))
    assert drawn.shape[0] / drawn.shape[1] == pytest.approx(expected, abs=0.01)


def test_errors_are_shown_in_their_colours() -> None:
    case = made_case()
    shown = {}
    for name, found in (("right", case.label), ("missed", 0 * case.label), ("other", 2 * case.label)):
        panel = slices.draw_case(case, np.asarray(found, np.uint8))[0]
        drawn = imread(io.BytesIO(decoded(panel.errors)))[..., :3]
        shown[name] = {
            color: bool(np.isclose(drawn, matplotlib.colors.to_rgb(color), atol=0.01).all(axis=2).any())
            for color in (colors.MISSED, colors.FALSE_ALARM, colors.CONFUSED)
        }
    assert list(shown["right"].values()) == [False, False, False]
    assert list(shown["missed"].values()) == [True, False, False]
    assert list(shown["other"].values()) == [False, False, True]


def test_a_flat_image_can_be_drawn() -> None:
    case = made_case()
    flat = PreparedCase("a", "a", 0 * case.image, case.label, case.grid)
    assert slices.draw_case(flat, np.asarray(case.label))


def test_what_is_ignored_is_neither_outlined_nor_wrong(prepared) -> None:
    """A slice whose truth is unknown, over which a right prediction says something: nothing to show there."""
    case = prepared.cases_of(prepared.subjects[:1])[0]
    truth = np.array(case.label)
    found = truth.copy()
    unknown = truth.copy()
    unknown[0] = IGNORED
    found[0, 4:9, 4:9] = 1
    panels = slices.draw_case(replace(case, label=unknown), found)
    known = [np.where(unknown == IGNORED, 0, classes) for classes in (unknown, found)]
    assert panels == slices.draw_case(replace(case, label=known[0]), known[1])
    assert not any("wrong" in panel.reason for panel in panels)


def test_a_2d_image_has_no_left_side(prepared) -> None:
    case = prepared.cases_of(prepared.subjects[:1])[0]
    mask = np.ones(case.grid.slice_shape[1:], bool)
    assert slices.View.around(case, mask).left_side == "R"
    assert slices.View.around(replace(case, in_pixels=True), mask).left_side == ""
