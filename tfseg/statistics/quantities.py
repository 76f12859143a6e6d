"""Types and the writing of p-values."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def write_p(p: float) -> str:
    """Write a p-value: `p = 0.032`, `p < 0.001`; with more digits if 0.050 would hide the side.

    >>> write_p(0.0321), write_p(0.4), write_p(0.04996), write_p(1e-5)
    ('p = 0.032', 'p = 0.40', 'p = 0.0500', 'p < 0.001')
    """
    if p < 0.001:
        return "p < 0.001"
    digits = 2 if p >= 0.1 else 4 if round(p, 3) == 0.05 else 3
    return f"p = {p:.{digits}f}"
