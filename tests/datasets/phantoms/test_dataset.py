"""Phantoms: the same for a seed, different by subject, plausible as anatomy, and out of a threshold's reach."""

import json

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage
from skimage.filters import threshold_multiotsu

from tfseg.core.errors import ConfigError
from tfseg.datasets.phantoms.dataset import CHANNELS, LABELS, make_phantom, write_dataset

KINDS = ("head", "abdomen")


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.fixture(scope="module")
def subjects():
    """Eight subjects to fit a threshold on and four to test it on, of each kind."""
    return {kind: [make_phantom(kind, 0, subject, 64) for subject in range(12)] for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_arguments_give_the_same_subject(kind):
    first, again = make_phantom(kind, 5, 2, 32), make_phantom(kind, 5, 2, 32)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.label, again.label)
    assert np.array_equal(first.affine, again.affine)


@pytest.mark.parametrize("kind", KINDS)
def test_another_subject_or_seed_is_another_anatomy(kind):
    labels = [make_phantom(kind, seed, subject, 32).label for seed, subject in ((0, 0), (0, 1), (1, 0))]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        depth = min(labels[a].shape[2], labels[b].shape[2])
        assert (labels[a][:, :, :depth] != labels[b][:, :, :depth]).mean() > 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_the_anatomy_does_not_depend_on_the_size(kind):
    def litres(size):
        phantom = make_phantom(kind, 0, 1, size)
        return (phantom.label == 1).sum() * np.linalg.det(phantom.affine[:3, :3]) / 1e6

    assert litres(32) == pytest.approx(litres(64), rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [32, 90])
def test_grids_are_ras_with_slices_thicker_than_pixels(kind, size):
    phantom = make_phantom(kind, 0, 0, size)
    x_mm, y_mm, z_mm = np.diag(phantom.affine)[:3]
    assert nib.aff2axcodes(phantom.affine) == ("R", "A", "S")
    assert phantom.label.shape[:2] == (size, size)
    assert phantom.label.shape[2] == pytest.approx(size / 3, rel=0.25)
    assert phantom.image.shape == phantom.label.shape + ((2,) if kind == "head" else ())
    assert x_mm == y_mm < z_mm
    assert x_mm * size == pytest.approx(235 if kind == "head" else 395, rel=0.06)
    assert phantom.image.dtype == np.float32
    assert phantom.label.dtype == np.uint8
    assert np.array_equal(phantom.image, np.round(phantom.image))  # so that int16 files lose nothing


@pytest.mark.parametrize("kind", KINDS)
def test_every_subject_has_every_label_but_some_have_no_tumour(kind, subjects):
    present = [set(np.unique(phantom.label)) - {0} for phantom in subjects[kind]]
    always = set(LABELS[kind]) - ({6} if kind == "head" else set())
    assert all(always <= labels <= set(LABELS[kind]) for labels in present)
    if kind == "head":
        assert 0.5 <= np.mean([6 in labels for labels in present]) < 1


@pytest.mark.parametrize("number", LABELS["abdomen"])
def test_not_every_slice_holds_an_organ(number, subjects):
    held = [(phantom.label == number).any(axis=(0, 1)).mean() for phantom in subjects["abdomen"]]
    assert 0.1 < np.mean(held) < 0.8


def test_the_abdomen_is_in_hounsfield_units(subjects):
    for phantom in subjects["abdomen"]:
        image, label = phantom.image, phantom.label
        assert image.min() >= -1024
        assert np.median(image[:, -2:]) == pytest.approx(-1000, abs=10)  # air in front of the belly
        fat = image[(image > -160) & (image < -40)]
        assert np.median(fat) == pytest.approx(-100, abs=15)  # partial volume lifts it a little
        assert (image > 250).any()  # bone
        for number in LABELS["abdomen"]:
            assert 10 < np.median(image[label == number]) < 110
            assert (image[label == number] < -200).mean() < 0.01  # no label where only lung can be seen


def test_the_liver_lies_on_the_right_and_the_spleen_on_the_left(subjects):
    """In RAS+ coordinates the patient's right is at high x."""
    for phantom in subjects["abdomen"]:
        right = {n: np.argwhere(phantom.label == n)[:, 0].mean() for n in (1, 2)}
        assert right[1] > phantom.label.shape[0] / 2 > right[2]


def test_a_table_carries_the_patient(subjects):
    for phantom in subjects["abdomen"]:
        edge = phantom.image[3:6, : phantom.image.shape[1] // 2]  # beside the patient
        assert edge.max() > -400


def test_the_tissues_of_the_head_are_ordered_as_in_mr(subjects):
    for phantom in subjects["head"]:
        t1, flair = (
            {n: np.median(phantom.image[..., c][phantom.label == n]) for n in np.unique(phantom.label)} for c in (0, 1)
        )
        assert max(t1[2], t1[3]) < t1[4] < t1[5] < t1[1]  # bone and fluid, grey, white, fat
        assert flair[3] < 0.7 * flair[4]  # FLAIR darkens fluid
        if 6 in flair:
            assert t1[6] < t1[5]
            assert flair[6] > 1.15 * flair[4]


def test_the_pancreas_is_small(subjects):
    sizes = [np.bincount(phantom.label.ravel(), minlength=4) for phantom in subjects["abdomen"]]
    assert all(pancreas < spleen < liver for _, liver, spleen, pancreas in sizes)
    assert np.mean([pancreas / liver for _, liver, _, pancreas in sizes]) < 0.1


def test_the_noise_of_mr_is_rician(subjects):
    """Where there is no signal the magnitude is Rayleigh distributed: mean / SD is √(π / (4 - π))."""
    for phantom in subjects["head"]:
        air = phantom.image[:3, :3, :, 0]
        assert air.min() >= 0
        assert air.mean() / air.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.15)


def test_mr_has_partial_volume(subjects):
    """On T1 grey matter is brighter where it touches white matter than where it touches CSF."""
    for phantom in subjects["head"]:
        grey, by_fluid, by_white = (phantom.label == 4, *(ndimage.binary_dilation(phantom.label == n) for n in (3, 5)))
        brighter, darker = phantom.image[grey & by_white & ~by_fluid, 0], phantom.image[grey & by_fluid & ~by_white, 0]
        assert np.median(brighter) > 1.15 * np.median(darker)


def test_mr_has_a_bias_field(subjects):
    """White matter is brighter on one side of a head than on the other."""
    biases = []
    for phantom in subjects["head"]:
        image, white = phantom.image[..., 0], phantom.label == 5
        halves = [image[half][white[half]] for half in (np.s_[:32], np.s_[32:])]
        biases.append(abs(np.log(np.median(halves[0]) / np.median(halves[1]))))
    assert np.median(biases) > 0.02


def scaled(kind, phantom, channel):
    """CT as it is; MR divided by its bright end, for its units are arbitrary."""
    if kind == "abdomen":
        return phantom.image
    image = phantom.image[..., channel]
    return image / np.percentile(image, 99)


def best_window(images, truths, edges):
    """The intensity window of the highest pooled Dice, out of all pairs of edges."""
    values, truth = np.concatenate([i.ravel() for i in images]), np.concatenate([t.ravel() for t in truths])
    everything = np.append(0, np.cumsum(np.histogram(values, edges)[0]))
    inside = np.append(0, np.cumsum(np.histogram(values[truth], edges)[0]))
    lower, upper = np.triu_indices(len(edges), 1)
    hits, size = inside[upper] - inside[lower], everything[upper] - everything[lower]
    best = np.argmax(2 * hits / (size + truth.sum()))
    return edges[lower[best]], edges[upper[best]]


@pytest.mark.parametrize(
    ("kind", "number", "limit"),
    [("abdomen", 1, 0.6), ("abdomen", 2, 0.2), ("abdomen", 3, 0.2), ("head", 4, 0.6), ("head", 6, 0.45)],
)
def test_the_best_window_of_intensities_does_badly(kind, number, limit, subjects):
    edges = np.linspace(-200, 300, 101) if kind == "abdomen" else np.linspace(0, 1.5, 101)
    truths = [phantom.label == number for phantom in subjects[kind]]
    for channel in range(len(CHANNELS[kind])):
        images = [scaled(kind, phantom, channel) for phantom in subjects[kind]]
        low, high = best_window(images[:8], truths[:8], edges)
        pairs = zip(images[8:], truths[8:], strict=True)
        scores = [dice((image >= low) & (image < high), truth) for image, truth in pairs if truth.any()]
        assert np.mean(scores) < limit


@pytest.mark.parametrize(
    ("kind", "number", "limit"), [("abdomen", 1, 0.6), ("abdomen", 2, 0.2), ("abdomen", 3, 0.2), ("head", 6, 0.4)]
)
def test_otsu_with_several_thresholds_does_badly(kind, number, limit, subjects):
    """Even where the best of its classes is chosen with the truth in hand."""
    scores = []
    for phantom in subjects[kind][8:]:
        truth = phantom.label == number
        if truth.any():
            image = scaled(kind, phantom, channel=-1)
            image = np.clip(image, -200, 300) if kind == "abdomen" else image
            classes = np.digitize(image, threshold_multiotsu(image, 4))
            scores.append(max(dice(classes == value, truth) for value in range(4)))
    assert np.mean(scores) < limit


@pytest.mark.parametrize("kind", KINDS)
def test_a_written_dataset_reads_back_as_it_was_made(kind, tmp_path):
    written = []
    write_dataset(tmp_path / "made", kind, subjects=3, size=32, seed=4, on_case=lambda: written.append(1))
    description = json.loads((tmp_path / "made" / "dataset.json").read_text())
    assert len(written) == description["numTraining"] == len(description["training"]) == 3
    assert description["modality"] == {str(i): name for i, name in enumerate(CHANNELS[kind])}
    assert description["labels"] == {"0": "background"} | {str(n): name for n, name in LABELS[kind].items()}
    assert description["tensorImageSize"] == {"head": "4D", "abdomen": "3D"}[kind]
    for subject, files in enumerate(description["training"]):
        phantom = make_phantom(kind, 4, subject, 32)
        image, label = (nib.load(tmp_path / "made" / files[part]) for part in ("image", "label"))
        assert np.allclose(image.affine, phantom.affine, atol=1e-4)
        assert np.allclose(label.affine, image.affine)
        assert image.get_data_dtype() == np.int16
        assert np.array_equal(image.get_fdata(), phantom.image)
        assert np.array_equal(np.asarray(label.dataobj), phantom.label)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]  # nothing half-written is left


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    def contents(folder):
        return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    for name, subjects in (("a", 1), ("b", 2)):
        write_dataset(tmp_path / name, "abdomen", subjects, size=32, seed=1)
    few, many = contents(tmp_path / "a"), contents(tmp_path / "b")
    few.pop(next(path for path in few if path.name == "dataset.json"))
    assert few.items() <= many.items()


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds files that are not a phantom dataset"):
        write_dataset(tmp_path, "abdomen", subjects=1, size=32)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_what_was_written_with_the_same_arguments_is_left_as_it_is(tmp_path):
    written = []
    for _ in range(2):
        write_dataset(tmp_path / "out", "head", subjects=2, size=32, on_case=lambda: written.append(1))
    assert len(written) == 2
    for other in ({"subjects": 3}, {"seed": 1}, {"size": 33}, {"kind": "abdomen"}):
        with pytest.raises(ConfigError):
            write_dataset(tmp_path / "out", **({"kind": "head", "subjects": 2, "size": 32} | other))


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "out").mkdir()
    write_dataset(tmp_path / "out", "abdomen", subjects=1, size=32)
    assert (tmp_path / "out" / "dataset.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"kind": "knee"},
            "kind: expected one of head, healthy_head, abdomen, neonate, two_tools, head_images, received 'knee'",
        ),
        ({"size": 16}, "size: expected 32 to 256 voxels, received 16"),
        ({"seed": -1}, "seed: expected 0 or more, received -1"),
        ({"subjects": 0}, "subjects: expected 1 or more, received 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        write_dataset(tmp_path / "out", **({"kind": "head", "subjects": 1, "size": 32} | arguments))
    assert not any(tmp_path.iterdir())
