import numpy as np
import pytest

from tfseg.datasets.fingerprint import measure, summarise, to_markdown
from tfseg.datasets.grids import Header
from tfseg.datasets.layouts import Case, Dataset

LABELS = {1: "core", 5: "rim"}


def make_dataset(cases, channels=("MRI",)):
    return Dataset("set", channels, LABELS, tuple(Case(f"{n}", f"{n // 2}", (), None) for n in range(cases)))


def two_cases():
    """4×5×2 voxels of 1×1×4 mm stored as RAS, and 6×3×4 of 4×2×1 mm stored with x upward, y leftward, z forward."""
    first = np.zeros((4, 5, 2), np.uint8)
    first[1, 2, 0] = 1
    first[1:3, 3, 0] = 5
    second = np.zeros((6, 3, 4), np.uint8)
    second[2:4, 1, 1] = 1
    turned = np.array([[0, -2, 0, 0], [0, 0, 1, 0], [4, 0, 0, 0], [0, 0, 0, 1.0]])
    headers = Header(first.shape, 1, np.diag([1.0, 1, 4, 1])), Header(second.shape, 1, turned)
    images = [np.arange(label.size, dtype=np.float32).reshape(label.shape) for label in (first, second)]
    return [(header, [image], label) for header, image, label in zip(headers, images, (first, second), strict=True)]


@pytest.fixture
def fingerprint():
    dataset = make_dataset(2)
    return summarise(dataset, [measure(*case, dataset) for case in two_cases()])


def test_shapes_and_spacings_run_along_the_patients_axes(fingerprint):
    assert (fingerprint.cases, fingerprint.subjects) == (2, 1)
    assert (fingerprint.shape.smallest, fingerprint.shape.largest) == ((3, 4, 2), (4, 5, 6))
    assert fingerprint.shape.median == (3.5, 4.5, 4)
    assert (fingerprint.spacing.smallest, fingerprint.spacing.largest) == ((1, 1, 4), (2, 1, 4))
    assert fingerprint.orientations == {"RAS": 1, "SLA": 1}


def test_slices_are_counted_across_the_longest_voxels(fingerprint):
    assert (fingerprint.axis, fingerprint.slices) == ("axial", 2 + 6)
    assert fingerprint.empty_slices == 8 - 1 - 2


def test_labels_are_counted_in_voxels_shares_and_millilitres(fingerprint):
    core, rim = fingerprint.labels
    assert (core.value, core.name, core.cases, core.voxels) == (1, "core", 2, 3)
    assert core.share == pytest.approx(3 / (40 + 72))
    assert core.median_volume == pytest.approx(np.median([1 * 4, 2 * 8]) / 1000)
    assert (rim.cases, rim.voxels) == (1, 2)
    assert rim.median_volume == pytest.approx(2 * 4 / 1000)  # of the cases that have it


def test_percentiles_are_of_the_values_inside_labels(fingerprint):
    inside = [image[0][label > 0] for _, image, label in two_cases()]
    (channel,) = fingerprint.channels
    for percentile, value in channel.percentiles.items():
        assert value == pytest.approx(np.percentile(np.concatenate(inside), percentile))


def test_2d_images_are_measured_in_pixels():
    header = Header((4, 3, 1), 1, np.diag([-1.0, -1, 1, 1]), in_pixels=True)
    label = np.zeros((4, 3, 1), np.uint8)
    label[1:3, 1] = 1
    dataset = make_dataset(1, ("grey",))
    image = np.arange(12, dtype=np.float32).reshape(4, 3, 1)
    fingerprint = summarise(dataset, [measure(header, [image], label, dataset)])
    assert fingerprint.in_pixels
    assert fingerprint.labels[0].median_volume == 2
    assert (fingerprint.slices, fingerprint.empty_slices, fingerprint.channels[0].modality) == (1, 0, "2D image")
    text = to_markdown(fingerprint)
    assert "- size, columns × rows: 4 × 3 pixels" in text
    assert "median pixels" in text
    assert "mm" not in text


def test_a_label_that_is_nowhere_has_no_volume():
    dataset = make_dataset(1)
    header, images, label = two_cases()[0]
    fingerprint = summarise(dataset, [measure(header, images, label * 0, dataset)])
    assert [(each.cases, each.share, each.median_volume) for each in fingerprint.labels] == [(0, 0, 0)] * 2
    assert all(np.isnan(value) for value in fingerprint.channels[0].percentiles.values())


def test_a_sample_of_a_large_label_is_spread_over_it():
    image = np.linspace(0, 1, 100**3, dtype=np.float32).reshape(100, 100, 100)
    dataset = make_dataset(1)
    measures = measure(Header(image.shape, 1, np.eye(4)), [image], np.ones(image.shape, np.uint8), dataset)
    assert measures.channels[0].inside.size <= 20_001
    (channel,) = summarise(dataset, [measures]).channels
    for percentile, value in channel.percentiles.items():
        assert value == pytest.approx(percentile / 100, abs=1e-3)


def test_the_text_has_every_figure(fingerprint):
    text = to_markdown(fingerprint)
    assert "- cases: 2" in text
    assert "- subjects: 1" in text
    assert "- shape, right × front × up: 3.5 × 4.5 × 4 (median), 3 × 4 × 2 to 4 × 5 × 6 voxels" in text
    assert "- slices: 8 axial, 5 (62%) without a label" in text
    assert "| core | 1 | 2 | 3 | 2.679% | 0.01 |" in text
    assert "--subject-pattern" not in text


def test_cases_that_are_each_a_subject_are_pointed_out():
    dataset = Dataset("set", ("MRI",), LABELS, tuple(Case(f"{n}", f"{n}", (), None) for n in range(2)))
    assert "--subject-pattern" in to_markdown(summarise(dataset, [measure(*case, dataset) for case in two_cases()]))
