"""Measure how often verdicts are wrong, by simulation of tables in which the truth is known, and on relabelled runs.

python benchmarks/verdicts.py errors --kind normal     false winners on the primary question, over the grid of settings
python benchmarks/verdicts.py report --kind normal     false winners anywhere in the report, 1 to 5 labels
python benchmarks/verdicts.py power                    how often a real difference is called, and equivalence
python benchmarks/verdicts.py calibration              p-values, intervals and d_z where there is no difference
python benchmarks/verdicts.py beyond                   what one dataset cannot tell, and the sensitivity analysis
python benchmarks/verdicts.py training-sets            loss-by-training-set effects, if all seeds share their folds
python benchmarks/verdicts.py trainings FOLDER         scores of one loss, a CSV per training, relabelled at random
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.stats
from numpy.typing import NDArray

from tfseg import statistics
from tfseg.statistics.effects import ALPHA, cohens_dz, holm
from tfseg.statistics.model import Design, Fit, beyond_this_dataset

Array = NDArray[np.float64]

RESIDUAL_SD = 0.0174  # of one network's Dice on one subject, as measured on six trainings of one loss
NETWORK_SD = 0.0073  # of a network's mean Dice, as measured there
COLLAPSE = -0.5  # of Dice
AT_ONCE = 500  # tables
SCREEN = 2  # the p of independent observations, by which pairs are screened, is at most that of the model
REPORT_BOUND = 0.10  # of studies
KINDS = {
    "normal": {},
    "subjects": {"subject_sd": 0.01},
    "heavy": {"heavy": True},
    "collapsed": {"collapse": 0.05},
    "folds": {"folds": 3},
}


class Setting(NamedTuple):
    """A simulated study: its size, and standard deviations of what varies between arms, in Dice.

    `subject_sd`: arm-by-subject effects; `heavy`: Student's t with 3 degrees of freedom in place of normal effects;
    `collapse`: the probability that a network loses 0.5 on a label; `influence_sd`: of networks, by the subjects of
    their training set; `fixed`: all seeds share their folds; `training_set_sd`: of the training sets, if so.
    """

    arms: int = 2
    subjects: int = 24
    seeds: int = 3
    network_sd: float = NETWORK_SD
    labels: int = 1
    folds: int = 5
    residual_sd: float = RESIDUAL_SD
    subject_sd: float = 0.0
    heavy: bool = False
    collapse: float = 0.0
    influence_sd: float = 0.0
    fixed: bool = False
    training_set_sd: float = 0.0

    @property
    def spread(self) -> float:
        """The standard deviation, over subjects, of seed-averaged differences of two arms."""
        collapse = COLLAPSE**2 * self.collapse * (1 - self.collapse)
        trained = self.residual_sd**2 + self.network_sd**2 + self.training_set_sd**2 + collapse
        return float(np.sqrt(2 * ((trained + self.influence_sd**2) / self.seeds + self.subject_sd**2)))

    def draw_folds(self, rng: np.random.Generator) -> NDArray[np.integer]:
        """Return the fold of every subject under every seed, `[seeds, subjects]`."""
        even = np.arange(self.subjects) % self.folds
        return np.stack([even if self.fixed else rng.permutation(even) for _ in range(self.seeds)])

    def draw(self, tables: int, folds: NDArray[np.integer], rng: np.random.Generator) -> Array:
        """Return Dice around each subject's own, without a difference, `[tables, arms, labels, seeds, subjects]`."""

        def noise(*shape: int) -> Array:
            return rng.standard_t(3, shape) / 3**0.5 if self.heavy else rng.standard_normal(shape)

        of_arm = (tables, self.arms, self.labels)
        networks = self.network_sd * noise(*of_arm, self.seeds, self.folds)
        networks += COLLAPSE * (rng.random(networks.shape) < self.collapse)
        networks += self.training_set_sd * noise(*of_arm, 1, self.folds)
        networks += self._influences(folds, noise(*of_arm, self.subjects)) if self.influence_sd else 0
        values = np.take_along_axis(networks, np.broadcast_to(folds, (*of_arm, *folds.shape)), axis=-1)
        values += self.subject_sd * noise(*of_arm, 1, self.subjects)
        return values + self.residual_sd * noise(*of_arm, self.seeds, self.subjects)

    def _influences(self, folds: NDArray[np.integer], influence: Array) -> Array:
        """Return what the subjects of each training set make of its network, `[..., seeds, folds]`."""
        trains = np.stack([[row != fold for fold in range(self.folds)] for row in folds]).astype(float)
        trains /= np.sqrt(trains.sum(axis=-1, keepdims=True))
        return self.influence_sd * np.einsum("skn,...n->...sk", trains, influence)


def draw_tables(setting: Setting, tables: int, seed: int) -> Iterator[tuple[NDArray[np.integer], Array]]:
    """Yield folds, and values `[tables, arms, labels, seeds, subjects]` that were tested on them, some at once."""
    rng = np.random.default_rng(seed)
    for start in range(0, tables, AT_ONCE):
        folds = setting.draw_folds(rng)
        yield folds, setting.draw(min(AT_ONCE, tables - start), folds, rng)


def differences(values: Array) -> Array:
    """Return first minus second of every pair of arms, `[tables, pairs, ...]`."""
    pairs = list(combinations(range(values.shape[1]), 2))
    return np.stack([values[:, first] - values[:, second] for first, second in pairs], axis=1)


def fit(paired: Array, folds: NDArray[np.integer]) -> Fit:
    """Fit the model to differences `[tables, seeds, subjects]`."""
    return Design(np.ones(folds.shape, bool), folds).fit(paired)


def any_winner(paired: Array, folds: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Say on which tables Holm's correction leaves a p below 5 %: that of the smallest p times the number of pairs.

    Args:
        paired: `[tables, pairs, seeds, subjects]`.
        folds: `[seeds, subjects]`.
    """
    level = ALPHA / paired.shape[1]
    rows = paired.reshape(-1, *folds.shape)
    p = scipy.stats.ttest_1samp(rows.reshape(len(rows), -1), 0, axis=1).pvalue
    near = np.flatnonzero(p < SCREEN * level)
    for start in range(0, near.size, AT_ONCE):
        some = near[start : start + AT_ONCE]
        p[some] = fit(rows[some], folds).p_value()
    return (p.reshape(paired.shape[:2]) < level).any(axis=1)


def old_rule(values: Array) -> NDArray[np.bool_]:
    """Say which tables name a winner by the rule that verdicts replaced, from `[tables, arms, seeds, subjects]`.

    The best arm is better if the paired t-test and Wilcoxon's over subjects agree after Holm, and the difference
    exceeds what seeds make of it: 97.5 % of Student's t times the standard error over seeds, unknown for one seed.
    """
    means = values.mean(axis=2)
    paired, seeds = differences(means), values.shape[2]
    t_test = holm(scipy.stats.ttest_1samp(paired, 0, axis=-1).pvalue)
    significant = t_test < ALPHA
    some = significant.any(axis=1)
    significant[some] &= holm(scipy.stats.wilcoxon(paired[some], axis=-1).pvalue) < ALPHA
    pairs = list(combinations(range(values.shape[1]), 2))
    if seeds > 1:
        variance = values.mean(axis=3).var(axis=2, ddof=1)
        pooled = np.stack([variance[:, a] + variance[:, b] for a, b in pairs], axis=1)
        noise = scipy.stats.t.ppf(1 - ALPHA / 2, 2 * seeds - 2) * np.sqrt(pooled / seeds)
        significant &= np.abs(paired.mean(axis=-1)) > noise
    best = means.mean(axis=2).argmax(axis=1)
    holds_best = np.stack([(best == a) | (best == b) for a, b in pairs], axis=1)
    return (significant & holds_best).any(axis=1)


def false_winners(setting: Setting, tables: int, seed: int = 0) -> tuple[float, float]:
    """Return the share of studies whose primary question names a winner, by verdicts and by the old rule."""
    named = []
    for folds, values in draw_tables(setting, tables, seed):
        means = values.mean(axis=2)
        named.append(np.stack([any_winner(differences(means), folds), old_rule(means)]))
    new, old = np.concatenate(named, axis=1).mean(axis=1)
    return float(new), float(old)


def questions_of(dice: Array, residual_sd: float, rng: np.random.Generator) -> Array:
    """Return Dice, NSD and HD95 of every label, and their means over labels, which come first.

    All three depend on the same networks; NSD and HD95 have errors of their own, those of HD95 with outliers.

    Args:
        dice: `[tables, arms, labels, seeds, subjects]`.
        residual_sd: of NSD.
        rng: of the draws.

    Returns:
        `[questions, tables, arms, seeds, subjects]`.
    """
    nsd = 1.5 * dice + residual_sd * rng.standard_normal(dice.shape)
    outliers = 30 * (rng.random(dice.shape) < 0.03)
    hd95 = -100 * dice + rng.standard_normal(dice.shape) + outliers
    by_label = np.stack([dice, nsd, hd95])
    means = by_label.mean(axis=3, keepdims=True)
    questions = np.concatenate([means, by_label], axis=3) if dice.shape[2] > 1 else by_label
    return np.moveaxis(questions, 3, 1).reshape(-1, *dice.shape[:2], *dice.shape[3:])


def false_reports(setting: Setting, tables: int, seed: int = 0) -> tuple[float, float]:
    """Return the share of studies whose primary question, and whose whole report, name a winner."""
    rng, named = np.random.default_rng(seed), []
    for folds, dice in draw_tables(setting, tables, seed + 1000):
        primary, *others = (differences(values) for values in questions_of(dice, setting.residual_sd, rng))
        by_primary = any_winner(primary, folds)
        named.append(np.stack([by_primary, by_primary | any_winner(np.concatenate(others, axis=1), folds)]))
    first, report = np.concatenate(named, axis=1).mean(axis=1)
    return float(first), float(report)


def power(setting: Setting, tables: int, size: float = 0.8, seed: int = 0) -> float:
    """Return how often the verdict on two arms that differ says so.

    Args:
        setting: of two arms.
        tables: how many.
        size: the difference over the standard deviation, over subjects, of seed-averaged differences.
        seed: of the draws.
    """
    apart = size * setting.spread
    called = [any_winner(differences(v.mean(axis=2)) + apart, folds) for folds, v in draw_tables(setting, tables, seed)]
    return float(np.concatenate(called).mean())


def rate(share: float, tables: int) -> str:
    """Write a share in percent with its standard error."""
    return f"{100 * share:4.1f} ± {100 * np.sqrt(max(share * (1 - share), 1e-9) / tables):.1f}"


def print_row(*cells: object) -> None:
    """Print a row of a table in Markdown."""
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def print_largest(shares: Sequence[float], bound: float, tables: int) -> None:
    """Print the largest share, and how many are above a bound by more than two standard errors."""
    above = np.array(shares) > bound + 2 * np.sqrt(bound * (1 - bound) / tables)
    limit = f"{100 * bound:.0f} % by more than two standard errors"
    print(f"largest of {len(shares)} settings: {rate(max(shares), tables)} %; above {limit}: {above.sum()}", flush=True)


def print_errors(kind: str, tables: int) -> None:
    """Print false winners on the primary question for a kind of settings."""
    print(f"{kind}: % of studies that name a false winner (old rule)")
    network_sds = (0, NETWORK_SD, 0.02)
    print_row("arms", "subjects", "seeds", *(f"network SD {sd}" for sd in network_sds))
    sizes = [*product((2,), (10, 24, 60), (1, 2, 3, 5)), (4, 10, 3), (4, 24, 1), (4, 24, 3), (4, 60, 1), (4, 60, 5)]
    sizes += [(12, 24, 3), (12, 60, 1), (12, 60, 5)]
    shares: list[float] = []
    for arms, subjects, seeds in sizes:
        cells = []
        for network_sd in network_sds:
            new, old = false_winners(Setting(arms, subjects, seeds, network_sd, **KINDS[kind]), tables, len(shares))
            shares.append(new)
            cells.append(f"{rate(new, tables)} ({100 * old:.0f})")
        print_row(arms, subjects, seeds, *cells)
    print_largest(shares, ALPHA, tables)


def print_report(kind: str, tables: int) -> None:
    """Print false winners on the primary question and in the whole report for a kind of settings."""
    print(f"{kind}: % of studies with a false winner on the primary question, and anywhere in the report")
    print_row("arms", "subjects", "seeds", "labels", "network SD", "primary", "whole report")
    sizes = [(2, 24, 1, 3), (2, 10, 3, 5), (2, 60, 5, 1), (4, 24, 3, 3), (4, 60, 1, 5), (12, 60, 1, 2)]
    shares = []
    for (arms, subjects, seeds, labels), network_sd in [*product(sizes, (NETWORK_SD, 0.02)), *product(sizes, (0.0,))]:
        setting = Setting(arms, subjects, seeds, network_sd, labels, **KINDS[kind])
        shares.append(false_reports(setting, tables, len(shares)))
        print_row(arms, subjects, seeds, labels, network_sd, *(rate(share, tables) for share in shares[-1]))
    print_largest([primary for primary, _ in shares], ALPHA, tables)
    print_largest([report for _, report in shares], REPORT_BOUND, tables)


def print_power(tables: int) -> None:
    """Print power for a difference of 0.8 standard deviations, and how often equal arms are called equivalent."""
    print_row("subjects", "network SD", "folds", "seeds", "power", "equal arms equivalent", "0.01 apart equivalent")
    designs = [
        *product((24,), (NETWORK_SD, 0.0, 0.02), (False, True)),
        (10, NETWORK_SD, False),
        (60, NETWORK_SD, False),
    ]
    for (subjects, network_sd, fixed), seeds in product(designs, (1, 2, 3, 5)):
        setting = Setting(2, subjects, seeds, network_sd, fixed=fixed)
        shares = power(setting, tables), *(equivalent(setting, tables, apart) for apart in (0.0, 0.01))
        drawn = "given" if fixed else "redrawn"
        print_row(subjects, network_sd, drawn, seeds, *(rate(share, tables) for share in shares))


def equivalent(setting: Setting, tables: int, apart: float, margin: float = 0.01, seed: int = 0) -> float:
    """Return how often two arms that lie `apart` are called equivalent within a margin."""
    called = []
    for folds, values in draw_tables(setting, tables, seed):
        fitted = fit(differences(values.mean(axis=2))[:, 0] + apart, folds)
        called.append(np.maximum(fitted.tail(margin - fitted.mean), fitted.tail(margin + fitted.mean)) < ALPHA)
    return float(np.concatenate(called).mean())


def print_calibration(tables: int) -> None:
    """Print how p-values of equal arms are distributed, and how often intervals hold the truth."""
    levels = (0.5, 0.2, 0.1, 0.05, 0.01, 0.001)
    print("share of p below the level, over the level; then % of 95 % intervals that hold the truth")
    names = ("difference", "d_z", "mean of an arm, networks alike", "mean over subjects alone")
    print_row("kind", "subjects", "seeds", *levels, *names)
    for number, (kind, subjects, seeds) in enumerate(product(KINDS, (10, 24, 60), (1, 3))):
        p, held = calibration(Setting(2, subjects, seeds, **KINDS[kind]), tables, number)
        below = (f"{(p < level).mean() / level:.2f}" for level in levels)
        print_row(kind, subjects, seeds, *below, *(f"{100 * share:.1f}" for share in held))


def calibration(setting: Setting, tables: int, seed: int, size: float = 0.8) -> tuple[Array, Array]:
    """Return p-values of equal arms, and the shares of intervals that hold the truth.

    The intervals: of the difference of two arms that are `size` standard deviations apart, of its d_z, of the mean of
    one arm whose subjects differ by a standard deviation of 0.05, and Student's of that mean over subjects alone.
    """
    rng, p, held = np.random.default_rng(seed), [], []
    for folds, values in draw_tables(setting, tables, seed + 1000):
        paired = differences(values.mean(axis=2))[:, 0]
        p.append(fit(paired, folds).p_value())
        moved = paired + size * setting.spread
        half = fit(moved, folds).half_width()
        d = np.array([cohens_dz(row, width) for row, width in zip(moved.mean(axis=1), half, strict=True)])
        center = COLLAPSE * setting.collapse
        of_arm = values[:, 0, 0] + 0.05 * rng.standard_normal((len(values), 1, setting.subjects))
        of_mean = fit(of_arm, folds)
        means = of_arm.mean(axis=1)
        student = scipy.stats.t.ppf(0.975, setting.subjects - 1) * scipy.stats.sem(means, axis=1)
        held.append(
            [
                np.abs(paired.mean(axis=(1, 2))) <= half,
                (d[:, 1] <= size) & (size <= d[:, 2]),
                np.abs(of_mean.mean - center) <= of_mean.half_width(),
                np.abs(means.mean(axis=1) - center) <= student,
            ]
        )
    return np.concatenate(p), np.concatenate(held, axis=1).mean(axis=1)


def print_beyond(tables: int) -> None:
    """Print error and power if the subjects of the training sets influence the arms differently."""
    print("% of studies of equal arms that differ on this dataset alone, called different: by the verdict, and by the")
    print("sensitivity analysis, whose power for d = 0.8 follows")
    print_row("subjects", "network SD", "influence SD", "seeds", "verdict", "beyond", "power beyond")
    for number, (influence_sd, subjects, network_sd, seeds) in enumerate(
        product((0.01, 0.0), (24, 60), (NETWORK_SD, 0.0), (1, 3, 5))
    ):
        setting = Setting(2, subjects, seeds, network_sd, influence_sd=influence_sd)
        extra = beyond_this_dataset(1, setting.folds - 1)
        called = []
        for folds, values in draw_tables(setting, tables, number):
            paired = differences(values.mean(axis=2))[:, 0]
            equal, apart = fit(paired, folds), fit(paired + 0.8 * setting.spread, folds)
            called.append([equal.p_value(), equal.p_value(extra), apart.p_value(extra)])
        shares = (np.concatenate(called, axis=1) < ALPHA).mean(axis=1)
        print_row(subjects, network_sd, influence_sd, seeds, *(rate(share, tables) for share in shares))


def print_training_sets(tables: int) -> None:
    """Print false winners and power if all seeds share their folds, and their training sets make a difference."""
    print_row("folds", "seeds", "share of the training set", "false winners", "power")
    for folds, seeds, share in product((5, 1), (2, 3, 5), (0.0, 0.25, 0.5)):
        own, shared = NETWORK_SD * np.sqrt(1 - share), NETWORK_SD * np.sqrt(share)
        setting = Setting(2, 24, seeds, own, folds=folds, fixed=True, training_set_sd=shared)
        found = false_winners(setting, tables)[0], power(setting, tables)
        print_row(folds, seeds, share, *(rate(each, tables) for each in found))


def relabelled(runs: Sequence[pd.DataFrame], arms: int, seeds: int, by: str, rng: np.random.Generator) -> pd.DataFrame:
    """Return trainings of one loss with the names of several arms given out at random.

    Args:
        runs: scores, a table per training of all folds.
        arms, seeds: how many trainings each arm gets.
        by: "seed": whole trainings; "network": each fold of an arm's training may come from another one; "start":
            whole trainings, of which the folds count as one network, as they share their initial weights.
        rng: of the draws.
    """
    parts = []
    folds = sorted(runs[0]["fold"].unique())
    orders = {fold: rng.permutation(len(runs))[: arms * seeds].reshape(arms, seeds) for fold in folds}
    for arm, seed, fold in product(range(arms), range(seeds), folds):
        source = runs[orders[fold if by == "network" else folds[0]][arm, seed]]
        name = f"arm {arm}"
        parts.append(source[source["fold"] == fold].assign(arm=name, loss=name, seed=seed))
    scores = pd.concat(parts, ignore_index=True)
    return scores.assign(fold=0) if by == "start" else scores


def print_trainings(folder: Path, draws: int) -> None:
    """Print how often relabelled trainings of one loss are called different, by verdicts and by the old rule."""
    runs = [pd.read_csv(path) for path in sorted(folder.glob("*.csv"))]
    print(f"{len(runs)} trainings of one loss: % of relabelled studies that name a winner")
    print_row("relabelled by", "arms", "seeds", "primary", "whole report", "old rule, primary")
    for by, (arms, seeds) in product(("network", "start", "seed"), ((2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (6, 1))):
        rng = np.random.default_rng(0)
        wrong = np.array([_judge(relabelled(runs, arms, seeds, by, rng)) for _ in range(draws)])
        print_row(by, arms, seeds, *(rate(share, draws) for share in wrong.mean(axis=0)))


def _judge(scores: pd.DataFrame) -> tuple[bool, bool, bool]:
    diagonals = dict.fromkeys(scores["case"].unique(), 100.0)
    asked = statistics.questions(scores[scores["metric"].isin(statistics.SECONDARY_METRICS)], diagonals)
    table = statistics.compare_arms(asked)
    called = table["verdict"].isin([statistics.Verdict.BETTER, statistics.Verdict.WORSE])
    primary = next(each for each in asked if (each.label, each.metric) == statistics.primary_question(asked))
    old = old_rule(np.stack([primary.of_arm(arm) for arm in primary.arms])[None])[0]
    return bool((called & (table["role"] == statistics.Role.PRIMARY)).any()), bool(called.any()), bool(old)


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "part", choices=["errors", "report", "power", "calibration", "beyond", "training-sets", "trainings"]
    )
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--kind", choices=list(KINDS), default="normal")
    parser.add_argument("--tables", type=int, default=2000)
    arguments = parser.parse_args()
    by_kind = {"errors": print_errors, "report": print_report}
    others = {
        "power": print_power,
        "calibration": print_calibration,
        "beyond": print_beyond,
        "training-sets": print_training_sets,
    }
    if arguments.part == "trainings":
        print_trainings(arguments.folder, arguments.tables)
    elif arguments.part in by_kind:
        by_kind[arguments.part](arguments.kind, arguments.tables)
    else:
        others[arguments.part](arguments.tables)


if __name__ == "__main__":
    main()
