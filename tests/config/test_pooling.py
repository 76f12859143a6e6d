"""The number of times that an axis is halved, by hand."""

import pytest

from tfseg.config.pooling import pooling_factors


@pytest.mark.parametrize(
    ("size", "spacing_mm", "factors"),
    [
        # Rows and columns reach 1.6, then 3.2 mm; only then are slices of 5 mm less than twice as coarse.
        ((12, 256, 256), (5.0, 0.8, 0.8), [(1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2)]),
        # 4 slices give 2, which are left alone.
        ((4, 64, 64), (1.0, 1.0, 1.0), [(2, 2, 2), (1, 2, 2), (1, 2, 2)]),
        # One slice is never halved.
        ((1, 64, 64), (1.0, 1.0, 1.0), [(1, 2, 2), (1, 2, 2)]),
        # Equal axes are halved together, also the short ones of small slices: 2 by 2 pixels remain, then 1 by 1.
        ((48, 64), (1.0, 1.0), [(2, 2)] * 4),
        ((16, 16), (0.7, 0.7), [(2, 2)] * 4),
        # An axis of 1.9 times the spacing is halved with the others, one of twice the spacing waits.
        ((64, 64, 64), (1.9, 1.0, 1.0), [(2, 2, 2), (2, 2, 2)]),
        ((64, 64, 64), (2.0, 1.0, 1.0), [(1, 2, 2), (2, 2, 2)]),
    ],
)
def test_factors_by_hand(size, spacing_mm, factors):
    assert pooling_factors(size, spacing_mm, len(factors)) == tuple(factors)
