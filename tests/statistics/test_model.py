import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tfseg.statistics import model
from tfseg.statistics.model import Design, beyond_this_dataset


def all_of(folds) -> Design:
    folds = np.asarray(folds)
    return Design(np.ones(folds.shape, bool), folds)


def membership(groups: np.ndarray) -> np.ndarray:
    return (groups[:, None] == np.unique(groups)).astype(float)


class Dense:
    """The same model with full matrices, one pair of ratios after the other."""

    def __init__(self, values: np.ndarray, folds: np.ndarray) -> None:
        seed, subject = np.nonzero(~np.isnan(values))
        self.rows = values[seed, subject]
        self.subjects = membership(subject)
        self.networks = membership(1000 * seed + folds[seed, subject])
        keys = sorted(set(zip(seed, folds[seed, subject], strict=True)))
        self.sets = [tuple(np.flatnonzero(folds[s] == k)) for s, k in keys]
        per_subject = self.subjects.sum(axis=0)
        self.weights = self.subjects @ (1 / (per_subject * per_subject.size))

    def covariance(self, subject: float, network: float, share: float = 0.0) -> np.ndarray:
        same_set = np.array([[one == other for other in self.sets] for one in self.sets])
        correlation = (1 - share) * np.eye(len(self.sets)) + share * same_set
        of_networks = self.networks @ correlation @ self.networks.T
        return np.eye(self.rows.size) + subject**2 * self.subjects @ self.subjects.T + network**2 * of_networks

    def restricted(self, covariance: np.ndarray) -> tuple[float, float]:
        """The restricted log-likelihood without constants, at the best residual variance, and that variance."""
        inverse = np.linalg.inv(covariance)
        information = inverse.sum()
        projection = inverse - np.outer(inverse.sum(axis=0), inverse.sum(axis=0)) / information
        squares, freedom = self.rows @ projection @ self.rows, self.rows.size - 1
        logarithm = np.linalg.slogdet(covariance)[1] + np.log(information) + freedom * np.log(squares)
        return -logarithm / 2, squares / freedom

    def tail(self, distance: float, shares: dict[float, float], extra: float = 0.0) -> float:
        ratios, freedom = model._RATIOS, self.rows.size - 1
        mass = dict(zip(ratios, model._prior_mass(ratios), strict=True))
        subject_ratios = ratios if self.subjects.sum(axis=0).max() > 1 else ratios[:1]
        logs, tails = [], []
        for share, prior in shares.items():
            for subject in subject_ratios:
                for network in ratios:
                    covariance = self.covariance(subject, network, share)
                    log_likelihood, variance = self.restricted(covariance)
                    scale = np.sqrt(variance * (self.weights @ covariance @ self.weights + extra * network**2))
                    prior_mass = prior * mass[network] * (mass[subject] if subject_ratios.size > 1 else 1)
                    logs.append(log_likelihood + np.log(prior_mass))
                    tails.append(scipy.stats.t.sf(distance / scale, freedom))
        weights = np.exp(np.array(logs) - max(logs))
        return float(weights @ tails / weights.sum())


def crossed(seeds: int, subjects: int, folds: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """A table without random numbers, and folds that every seed draws anew."""
    s, i = np.mgrid[:seeds, :subjects]
    fold = (i * (2 * s + 1) + (i // 5) * s) % folds
    network = 0.02 * np.sin(7.3 * (s * folds + fold) + 1)
    subject = 0.015 * np.cos(3.1 * i * i + 0.5)
    rest = 0.03 * np.sin(12.9 * i * (s + 1) + 4.1 * s * s + 0.3 * i * i)
    return 0.01 + network + subject + rest, fold


@pytest.mark.parametrize(
    ("seeds", "subjects", "missing", "shared", "count"),
    [
        (1, 10, (), False, 3),
        (3, 9, (), False, 3),
        (2, 8, ((0, 3), (1, 5)), False, 3),
        (3, 8, (), True, 3),
        (3, 8, (), True, 1),
    ],
)
def test_against_full_matrices(seeds, subjects, missing, shared, count):
    values, folds = crossed(seeds, subjects, folds=count)
    folds = folds[:1].repeat(seeds, axis=0) if shared else folds
    for place in missing:
        values[place] = np.nan
    design = Design(~np.isnan(values), folds)
    assert (design.training_sets < design.networks) == shared
    fit, dense = design.fit(values[None]), Dense(values, folds)
    assert fit.mean[0] == pytest.approx(np.nanmean(np.nanmean(values, axis=0)))
    shares = {0.0: 0.5, 0.5: 0.5} if shared else {0.0: 1.0}
    assert fit.tail(np.array([0.01]))[0] == pytest.approx(dense.tail(0.01, shares), rel=1e-6)
    assert fit.tail(np.array([0.02]), extra=1)[0] == pytest.approx(dense.tail(0.02, shares, extra=1), rel=1e-6)
    assert fit.p_value()[0] == pytest.approx(2 * dense.tail(abs(fit.mean[0]), shares), rel=1e-6)


def test_the_restricted_likelihood_is_that_of_a_mixed_model():
    """Reference: statsmodels 0.15.0, `mixedlm("y ~ 1", groups=1, vc_formula={subject, network})`, REML, this table."""
    residual, network, subject = 0.00041765753872562253, 0.00026504768367803543, 0.00019785578464487938
    values, folds = crossed(seeds=4, subjects=30)
    dense = Dense(values, folds)

    def likelihood(subject_factor: float, network_factor: float) -> float:
        ratios = np.sqrt([subject / residual * subject_factor, network / residual * network_factor])
        return dense.restricted(dense.covariance(*ratios))[0]

    best = likelihood(1, 1)
    for factors in ((1.05, 1), (0.95, 1), (1, 1.05), (1, 0.95)):
        assert likelihood(*factors) < best
    covariance = dense.covariance((subject / residual) ** 0.5, (network / residual) ** 0.5)
    assert dense.restricted(covariance)[1] == pytest.approx(residual, rel=1e-3)
    error_of_best_estimate = np.sqrt(residual / np.linalg.inv(covariance).sum())
    assert error_of_best_estimate == pytest.approx(0.0048373666239049625, rel=1e-3)
    spreads = [spread[0] for spread in all_of(folds).fit(values[None]).standard_deviations()]
    assert spreads == pytest.approx(np.sqrt([subject, network, residual]), rel=0.15)


def test_large_effects_of_networks_give_the_t_test_over_folds():
    networks = np.array([0.3, 0.9, -0.2, 0.5, 0.7])
    values = (networks[:, None] + 5e-3 * np.sin(np.arange(20)).reshape(5, 4)).reshape(1, 20)
    fit = all_of([np.repeat(np.arange(5), 4)]).fit(values[None])
    expected = scipy.stats.ttest_1samp(values.reshape(5, 4).mean(axis=1), 0)
    assert fit.p_value()[0] == pytest.approx(expected.pvalue, rel=0.01)
    half = np.ptp(expected.confidence_interval()) / 2
    assert fit.half_width()[0] == pytest.approx(half, rel=0.01)


def test_two_networks_have_one_degree_of_freedom():
    values = np.concatenate([np.full(6, 0.01), np.full(6, 0.02)]) + 1e-3 * np.cos(np.arange(12))
    p = all_of([np.repeat([0, 1], 6)]).fit(values[None, None]).p_value()[0]
    assert p == pytest.approx(scipy.stats.ttest_1samp([0.01, 0.02], 0).pvalue, rel=0.02)


def test_one_network_leaves_only_subjects():
    values = np.array([[0.01, 0.03, 0.02, 0.05, 0.02, 0.03]])
    fit = all_of(np.zeros((1, 6), int)).fit(values[None])
    assert fit.p_value()[0] == pytest.approx(scipy.stats.ttest_1samp(values[0], 0).pvalue)
    assert fit.network_variance.max() == 0


def test_the_interval_ends_where_p_is_five_percent():
    values, folds = crossed(3, 12)
    fit = all_of(folds).fit(values[None])
    half = fit.half_width()
    assert 2 * fit.tail(half)[0] == pytest.approx(0.05, rel=1e-3)
    assert fit.half_width(extra=0.25)[0] > half[0]
    assert fit.half_width(level=0.9)[0] < half[0]


def test_tables_at_once_are_those_one_by_one():
    rng = np.random.default_rng(0)
    tables, design = rng.normal(0.01, 0.02, (5, 3, 12)), all_of(crossed(3, 12)[1])
    together = design.fit(tables)
    for place, table in enumerate(tables):
        alone = design.fit(table[None])
        for get in (lambda fit: fit.mean, lambda fit: fit.p_value(), lambda fit: fit.half_width(extra=0.3)):
            assert get(together)[place] == pytest.approx(get(alone)[0], rel=1e-9)


@given(st.integers(0, 1000), st.floats(0.01, 100), st.booleans())
@settings(max_examples=30)
def test_scale_order_and_sign_of_the_differences(draw, scale, redraw):
    rng = np.random.default_rng(draw)
    subjects, seeds = 10, int(rng.integers(1, 4))
    fold = np.arange(subjects) % 5
    folds = np.stack([rng.permutation(fold) if redraw else fold for _ in range(seeds)])
    values = rng.normal(0.01, 0.02, (seeds, subjects))
    p = all_of(folds).fit(values[None]).p_value()[0]
    order, of_seeds = rng.permutation(subjects), rng.permutation(seeds)
    shuffled = all_of(folds[of_seeds][:, order]).fit(-scale * values[of_seeds][:, order][None])
    assert shuffled.p_value()[0] == pytest.approx(p, rel=1e-6)
    assert shuffled.mean[0] == pytest.approx(-scale * values.mean())
    assert 0 <= p <= 1


def test_more_seeds_and_more_subjects_narrow_the_interval():
    def half(seeds: int, subjects: int) -> float:
        values, folds = crossed(seeds, subjects)
        return all_of(folds).fit((values - values.mean() + 0.01)[None]).half_width()[0]

    assert half(1, 20) > half(3, 20) > half(6, 20)
    assert half(3, 10) > half(3, 40)


def test_the_term_for_other_datasets():
    assert beyond_this_dataset(10, 40) == 0.25
