import numpy as np
import pytest

from tfseg.core.errors import DataError
from tfseg.datasets.dicom import is_series, modality
from tfseg.datasets.formats import read_header, read_image
from tfseg.datasets.grids import stored_like

TURN = np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]])


def values(shape=(5, 6, 7)):
    return np.arange(np.prod(shape)).reshape(shape).astype(np.int16)


def make_affine(directions, spacing_mm, origin=(10, -20, 5)):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions * spacing_mm, origin
    return affine


AFFINES = {
    "axial": make_affine(np.diag([-1.0, -1, 1]), (0.7, 0.8, 2.5)),
    "sagittal": make_affine(np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), (0.5, 0.6, 4)),
    "oblique": make_affine(TURN @ np.diag([-1.0, -1, 1]), (1, 1, 3)),
    "tilted gantry": make_affine(np.array([[-1, 0, 0], [0, -1, 0.4], [0, 0, 1]]), (1, 1, 3)),
}


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_a_series_is_a_volume_on_the_patients_grid(save_series, tmp_path, affine):
    image = read_image(save_series(tmp_path / "series", values(), affine))
    assert image.array.dtype == np.float32
    # The first slice may be either end; each voxel has its value where it lies.
    placed = stored_like(image, affine)
    np.testing.assert_allclose(placed.affine, affine, atol=1e-5)
    np.testing.assert_array_equal(placed.array[..., 0], values())


def test_the_header_tells_what_the_volume_is(save_series, tmp_path):
    folder = save_series(tmp_path / "series", values(), AFFINES["axial"])
    header, image = read_header(folder), read_image(folder)
    assert (header.shape, header.channels, header.in_pixels) == ((5, 6, 7), 1, False)
    np.testing.assert_array_equal(header.affine, image.affine)
    assert header.spacing_mm == pytest.approx((0.7, 0.8, 2.5))


def test_values_are_rescaled(save_series, tmp_path):
    image = read_image(save_series(tmp_path / "s", values(), AFFINES["axial"], slope=0.5, intercept=-1024))
    np.testing.assert_array_equal(np.sort(image.array.ravel()), 0.5 * values().ravel() - 1024)


def test_the_modality_is_that_of_the_files(save_series, tmp_path):
    assert modality(save_series(tmp_path / "series", values(), AFFINES["axial"], modality="MR")) == "MR"


def test_one_slice_is_a_volume_too(save_series, tmp_path):
    image = read_image(save_series(tmp_path / "series", values((5, 6, 1)), AFFINES["axial"]))
    np.testing.assert_array_equal(image.array[..., 0], values((5, 6, 1)))
    np.testing.assert_allclose(image.affine, AFFINES["axial"], atol=1e-5)


def test_a_missing_slice_is_named(save_series, tmp_path):
    folder = save_series(tmp_path / "series", values(), AFFINES["axial"])
    (folder / "IM0004").unlink()
    with pytest.raises(DataError, match=r"series: slices lie 2\.5 to 5 mm apart, most 2\.5 mm: one may be missing"):
        read_header(folder)


def rewrite(path, **tags):
    pydicom = pytest.importorskip("pydicom")
    file = pydicom.dcmread(path)
    for name, value in tags.items():
        setattr(file, name, value)
    file.save_as(path)


def test_several_slices_at_one_position_are_refused(save_series, tmp_path):
    folder = save_series(tmp_path / "series", values(), AFFINES["axial"])
    rewrite(folder / "IM0003", ImagePositionPatient=[-10, 20, 5 + 5 * 2.5])  # IM0002 lies there
    with pytest.raises(DataError, match=r"series: several slices at one position"):
        read_header(folder)


def test_slices_of_several_sizes_are_refused(save_series, tmp_path):
    folder = save_series(tmp_path / "series", values(), AFFINES["axial"])
    rewrite(folder / "IM0001", Columns=4, PixelData=bytes(4 * 6 * 2))
    with pytest.raises(DataError, match=r"series: slices of several sizes: \[\(4, 6\), \(5, 6\)\]"):
        read_header(folder)


def test_two_series_in_a_folder_are_refused(save_series, tmp_path):
    folder = save_series(tmp_path / "series", values(), AFFINES["axial"])
    for file in save_series(tmp_path / "other", values(), AFFINES["axial"]).iterdir():
        file.rename(folder / f"other{file.name}")
    with pytest.raises(DataError, match="series: expected one DICOM series in the folder, found 2"):
        read_header(folder)


@pytest.mark.parametrize("lost", [1, 2000])
def test_a_truncated_file_is_named(save_series, tmp_path, lost):
    folder = save_series(tmp_path / "series", values((40, 40, 3)), AFFINES["axial"])
    read_image(folder)
    whole = (folder / "IM0002").read_bytes()
    (folder / "IM0002").write_bytes(whole[:-lost])
    with pytest.raises(DataError, match=r"IM0002: a DICOM file, but no readable image; it may be cut short"):
        read_header(folder)


def test_what_is_a_series(save_series, tmp_path):
    save_series(tmp_path / "case" / "series", values(), AFFINES["axial"])
    (tmp_path / "case" / "notes.txt").write_text("short")
    assert is_series(tmp_path / "case" / "series")
    assert not is_series(tmp_path / "case")


@pytest.mark.parametrize("read", [read_header, read_image, modality])
def test_a_folder_without_a_dicom_file_is_named(tmp_path, read):
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "IM0001").touch()
    with pytest.raises(DataError, match="case: expected the files of a DICOM series in the folder itself, found none"):
        read(tmp_path / "case")
