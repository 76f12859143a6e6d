import numpy as np
import pytest

from tfseg.statistics.settling import Evidence, what_would_settle

USUAL = Evidence(0.008, np.nan, 0.005, 0.01, 0.02, seeds=2, networks=10, subjects=24, tests=1)


def number(text: str, of: str) -> int:
    return int(text.partition(f" more {of}")[0].rpartition(" ")[2])


def test_the_number_of_seeds_has_the_power_it_promises():
    """With as many seeds the difference is significant in 80 % of draws, with one fewer in less."""
    import scipy.stats

    more = number(what_would_settle(USUAL), "seeds")
    shares = []
    for seeds in (2 + more - 1, 2 + more):
        error = np.sqrt(0.01**2 / (5 * seeds) + 0.005**2 / 24 + 0.02**2 / (24 * seeds))
        limit = scipy.stats.t.isf(0.025, min(5 * seeds, 24) - 1)
        shares.append(scipy.stats.norm.sf(limit - 0.008 / error))
    assert shares[0] < 0.8 <= shares[1] + 1e-9


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"difference": 0.0}, "neither 20 more seeds nor 10 times the subjects would settle it"),
        ({"difference": 0.0, "margin": 0.01}, "about 2 more seeds would settle it"),
        ({"sd_networks": 0.0, "subjects": 12}, "about 5 more seeds, or 25 more subjects, would settle it"),
        ({"sd_networks": 0.0, "sd_subjects": 0.03, "sd_residual": 0.0}, "about 120 more subjects would settle it"),
    ],
)
def test_what_is_missing_decides(changes, text):
    assert what_would_settle(USUAL._replace(**changes)) == text


def test_more_comparisons_need_more():
    alone, among = (number(what_would_settle(USUAL._replace(tests=tests)), "seeds") for tests in (1, 20))
    assert among > alone
