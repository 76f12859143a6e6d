import numpy as np
import pytest

from tfseg.datasets.modality import ChannelMeasures, is_ct, likely_modality, measure_channel


@pytest.mark.parametrize(
    ("name", "lowest", "highest", "mean", "std", "said"),
    [
        ("CT", -1024, 3000, 40, 300, "CT, Hounsfield units"),
        ("image", -1000, 1500, -300, 400, "CT, Hounsfield units"),
        ("CT", 0, 255, 80, 60, "called CT, but values of 0 to 255 are no Hounsfield units of a whole scan"),
        ("T1w", 0, 4000, 900, 500, "MR or another, in units of its own"),
        ("FLAIR", -3.2, 9, 0.05, 1.4, "z-scored already, it seems"),
        ("green", 0, 255, 100, 50, "2D image"),
        # What the dataset states outvotes the values: a phase is no CT, though its values reach from air to bone.
        ("MRI", -4096, 4094, 0, 2360, "MR or another, in units of its own"),
        ("part-phase_T1w", -1000, 1500, 40, 300, "MR or another, in units of its own"),
        ("PET", -1000, 3000, 40, 300, "MR or another, in units of its own"),
        ("image", -4096, 4094, 3, 2360, "MR or another, in units of its own"),
        ("image_CT", -1000, 1000, -300, 400, "CT, Hounsfield units"),
        ("image", -1000, 1000, -60, 300, "CT, Hounsfield units"),
    ],
)
def test_the_modality_follows_from_values_and_name(name, lowest, highest, mean, std, said):
    case = ChannelMeasures(lowest, highest, mean, std, np.zeros(0))
    assert likely_modality(name, [case]) == said
    assert is_ct(name, [case]) == ("CT" in said)


def test_ct_that_is_z_scored_is_known_by_its_values():
    case = ChannelMeasures(-3.2, 9, 0.05, 1.4, np.zeros(0))
    assert likely_modality("CT", [case]) == "z-scored already, it seems"
    assert not is_ct("CT", [case])


def test_units_that_differ_from_case_to_case_are_described():
    cases = [ChannelMeasures(0, highest, 100, 50, np.zeros(0)) for highest in (300, 2900)]
    assert likely_modality("T1w", cases) == "MR or another, in units of its own"
    cases.append(ChannelMeasures(0, 3100, 100, 50, np.zeros(0)))
    assert likely_modality("T1w", cases) == "MR or another, in units of each case’s own"


def test_mean_and_spread_are_of_what_is_not_background():
    image = np.zeros((4, 4, 4), np.float32)
    image[1:3, 1:3, 1:3] = np.arange(8).reshape(2, 2, 2) + 1
    measures = measure_channel(image)
    assert measures.mean == pytest.approx(4.5)
    assert measures.std == pytest.approx(np.std(np.arange(8)))
