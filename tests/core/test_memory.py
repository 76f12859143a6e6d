import numpy as np

from tfseg.core import memory


def test_the_peak_is_measured_anew(tmp_path):
    assert 2**28 < memory.memory_bytes() < 2**50
    array = np.ones(10**7)
    high = memory.peak_bytes()
    assert high > array.nbytes
    del array
    memory.reset_peak()
    assert memory.peak_bytes() < high - 5 * 10**7
