"""Small inputs rebuilt from public bug reports: what reading and inspecting each of them gives."""

from typing import Any

import numpy as np
import pytest

from tfseg.core.errors import DataError
from tfseg.datasets.inspection import inspect
from tfseg.datasets.layouts import Dataset, read_dataset
from tfseg.datasets.reading import read_case


def spacing(*expected_mm: float) -> Any:
    def check(dataset: Dataset) -> None:
        for case in dataset.cases:
            for volume in read_case(case, dataset):
                assert sorted(volume.spacing_mm) == pytest.approx(sorted(expected_mm), rel=1e-5)

    return check


def values(labels: dict[int, str], ignore_label: int | None = None) -> Any:
    def check(dataset: Dataset) -> None:
        assert (dataset.labels, dataset.ignore_label) == (labels, ignore_label)
        found = {value for case in dataset.cases for value in np.unique(read_case(case, dataset)[1].array).tolist()}
        assert found - {0, ignore_label} <= labels.keys()

    return check


def cases(*names: str, channels: tuple[str, ...] | None = None) -> Any:
    def check(dataset: Dataset) -> None:
        assert [case.name for case in dataset.cases] == list(names)
        assert channels is None or dataset.channels == channels

    return check


def depth(dataset: Dataset) -> None:
    assert max(read_case(case, dataset)[0].array.max() for case in dataset.cases) > 255


# What is read, if a case is sound; a part of the warning, of every fault, or of the refusal otherwise.
SOUND = {
    "bad_quaternion": spacing(0.8, 0.8, 3),
    "bids_session_less_labels": cases("sub-01_ses-1", "sub-02_ses-1", "sub-03_ses-1", "sub-04_ses-1"),
    "big_endian": values({1: "label_1", 2: "label_2"}),
    "csv_backslash": values({1: "foreground"}),
    "csv_semicolon": values({1: "foreground"}),
    "dicom_cr_pixel_spacing": spacing(0.2, 0.2, 1),
    "dicom_no_preamble": cases("c0", "c1", "c2", channels=("CT",)),
    "hdr_img_pair_tiny": values({1: "foreground"}),
    "jupyter_checkpoints": cases("p0", "p1", "p2", "p3", "p4", "p5"),
    "label_float_noise": values({1: "foreground"}),
    "mask_in_alpha": values({255: "foreground"}),
    "nnunet_v1_raw": cases("c0", "c1", "c2", "c3", "c4", channels=("CT",)),
    "nnunet_v2_dataset_key": values({1: "organ"}),
    "one_slice_sagittal": spacing(1, 1, 1),
    "palette_order_differs": values({255: "foreground"}),
    "png16_rgb": depth,
    "score_ignore": values({1: "a", 2: "b"}, ignore_label=3),
    "score_regions": values({1: "label_1", 2: "label_2", 3: "et"}),
    "upper_case_suffix": cases("c0", "c1", "c2", "c3"),
}
WARNED = {
    "codes_zero_some": ("images/c1.nii.gz: its header states no orientation", "images/c3.nii.gz"),
    "ct_mixed_units": ("c4_0000.nii.gz: values of 0 to 255", "c5_0000.nii.gz: values of -2 to 1724"),
    "dicom_rtstruct_in_series": ("c0/RS.dcm: RTSTRUCT, a structure set",),
    "dicom_seg_as_channel": ("c0/SEG/1.dcm: SEG, a segmentation",),
    "label_no_background": ("no label map has a voxel of 0, the background",),
    "nnunet_channels_swapped": ("channel_names are read as name: number",),
    "void_255": ("255 beside the values 1 to 2",),
}
FAULTY = {
    "dicom_one_slice_first_turned": (3, "a000.dcm: ImageOrientationPatient"),
    "dicom_one_slice_turned": (3, "a005.dcm: ImageOrientationPatient"),
    "enhanced_rescale_per_frame": (3, r"RescaleSlope\RescaleIntercept"),
    "enhanced_shuffled_itk_label": (3, "its frames are not one stack of slices in order"),
    "enhanced_two_volumes": (3, "several slices at one position"),
    "same_scan_two_ids": (1, "the same voxels as"),
}
REFUSED = {
    "bids_dseg_tsv_differ": "sub-02_dseg.tsv: 1 is right, in ",
    "jpeg_three_classes": "a lossy or transparent mask with areas of the level",
    "masks_and_labels": "labels/ and masks/ may both hold the label maps",
    "nnunet_ending_nii": "there are 10 that end in .nii",
    "sform_pixdim_disagree": "its sform gives voxels of 1 × 1 × 1, its pixdim 0.8 × 0.8 × 3",
}


@pytest.fixture
def folder(shared):
    if not (shared / "cases").is_dir():
        pytest.skip("no folder shared/cases beside the checkout")
    return shared / "cases"


def test_a_case_that_is_sound_is_read(folder):
    for name, check in SOUND.items():
        dataset = read_dataset(folder / name / "data")
        faults, fingerprint, warnings = inspect(dataset)
        assert (name, faults, warnings) == (name, [], ())
        check(dataset)
        if name == "one_slice_sagittal":
            assert (fingerprint.axis, fingerprint.slices) == ("sagittal", len(dataset.cases))


def test_a_case_that_is_unusual_is_read_with_a_warning(folder):
    for name, said in WARNED.items():
        faults, _, warnings = inspect(read_dataset(folder / name / "data"))
        assert (name, faults) == (name, [])
        assert all(any(part in warning for warning in warnings) for part in said), (name, warnings)
    assert read_dataset(folder / "dicom_seg_as_channel" / "data").channels == ("CT",)


def test_a_case_with_faults_is_refused_file_by_file(folder):
    for name, (count, said) in FAULTY.items():
        faults, *_ = inspect(read_dataset(folder / name / "data"))
        assert (name, len(faults)) == (name, count)
        assert all(said in fault.message and fault.message.startswith(str(folder / name)) for fault in faults), faults


def test_a_case_that_is_ambiguous_is_refused(folder):
    for name, said in REFUSED.items():
        with pytest.raises(DataError) as refused:
            read_dataset(folder / name / "data")
        assert said in str(refused.value), name
        assert str(folder / name) in str(refused.value)


def test_time_points_are_kept_together_by_a_pattern(folder):
    dataset = read_dataset(folder / "patient_in_name" / "data", r"^(p\d+)_")
    assert {case.name.split("_")[0] for case in dataset.cases} == {case.subject for case in dataset.cases}
    assert {case.subject for case in dataset.cases} == {"p1", "p2", "p10", "p100"}


def test_every_case_is_tried(folder):
    tried = {*SOUND, *WARNED, *FAULTY, *REFUSED, "patient_in_name"}
    assert {path.name for path in folder.iterdir() if path.is_dir()} <= tried
