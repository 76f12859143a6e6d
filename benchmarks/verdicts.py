"""How often verdicts are wrong, by simulation of tables in which the truth is known, and on relabelled trainings.

python benchmarks/verdicts.py errors --kind normal     false winners on the primary question, over the grid of settings
python benchmarks/verdicts.py report                   false winners anywhere in the report, 1 to 5 labels
python benchmarks/verdicts.py power                    how often a real difference is called, and equivalence
python benchmarks/verdicts.py calibration              p-values, intervals and d_z where there is no difference
python benchmarks/verdicts.py beyond                   what one data set cannot tell, and the sensitivity analysis
python benchmarks/verdicts.py training-sets            loss-by-training-set effects, if all seeds share their folds
python benchmarks/verdicts.py trainings FOLDER         scores of one loss, a CSV per training, relabelled at random
"""

import argparse
from collections.abc import Sequence
from itertools import combinations, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.stats
from numpy.typing import NDArray

from tfseg import statistics
from tfseg.statistics.effects import ALPHA, cohens_dz, holm
from tfseg.statistics.model import Design, beyond_this_data_set

Array = NDArray[np.float64]

RESIDUAL_SD = 0.0174  # of one network's Dice on one subject, as measured on six trainings of one loss
NETWORK_SD = 0.0073  # of a network's mean Dice, as measured there
COLLAPSE = -0.5  # of Dice
AT_ONCE = 250  # tables
KINDS = {
    "normal": {},
    "subjects": {"subject_sd": 0.01},
    "heavy": {"heavy": True},
    "collapsed": {"collapse": 0.05},
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


def differences(values: Array) -> Array:
    """Return first minus second of every pair of arms, `[tables, pairs, ...]`."""
    pairs = list(combinations(range(values.shape[1]), 2))
    return np.stack([values[:, first] - values[:, second] for first, second in pairs], axis=1)


def p_values(values: Array, folds: NDArray[np.integer], extra: float = 0.0) -> Array:
    """Return the model's p of every pair on every table, from `[tables, arms, seeds, subjects]`."""
    design = Design(np.ones(folds.shape, bool), folds)
    paired = differences(values)
    flat = paired.reshape(-1, *folds.shape)
    parts = [design.fit(flat[start : start + AT_ONCE]).p_value(extra) for start in range(0, len(flat), AT_ONCE)]
    return np.concatenate(parts).reshape(paired.shape[:2])


def old_rule(values: Array) -> NDArray[np.bool_]:
    """Say which tables name a winner by the rule that verdicts replaced, from `[tables, arms, seeds, subjects]`.

    The best arm is better if the paired t-test and Wilcoxon's over subjects agree after Holm, and the difference
    exceeds what seeds make of it: 97.5 % of Student's t times the standard error over seeds, unknown for one seed.
    """
    means = values.mean(axis=2)
    paired, seeds = differences(means), values.shape[2]
    t_test = holm(scipy.stats.ttest_1samp(paired, 0, axis=-1).pvalue)
    wilcoxon = holm(scipy.stats.wilcoxon(paired, axis=-1).pvalue)
    significant = (t_test < ALPHA) & (wilcoxon < ALPHA)
    if seeds > 1:
        variance = values.mean(axis=3).var(axis=2, ddof=1)
        pooled = np.stack([variance[:, a] + variance[:, b] for a, b in combinations(range(values.shape[1]), 2)], axis=1)
        noise = scipy.stats.t.ppf(1 - ALPHA / 2, 2 * seeds - 2) * np.sqrt(pooled / 2 * 2 / seeds)
        significant &= np.abs(paired.mean(axis=-1)) > noise
    best = means.mean(axis=2).argmax(axis=1)
    holds_best = np.stack([(best == a) | (best == b) for a, b in combinations(range(values.shape[1]), 2)], axis=1)
    return (significant & holds_best).any(axis=1)


def false_winners(setting: Setting, tables: int, seed: int = 0) -> tuple[float, float]:
    """Return the share of studies whose primary question names a winner, by verdicts and by the old rule."""
    rng = np.random.default_rng(seed)
    folds = setting.draw_folds(rng)
    values = setting.draw(tables, folds, rng).mean(axis=2)
    named = (holm(p_values(values, folds)) < ALPHA).any(axis=1)
    return float(named.mean()), float(old_rule(values).mean())


def draw_questions(setting: Setting, tables: int, folds: NDArray[np.integer], rng: np.random.Generator) -> Array:
    """Return Dice, NSD and HD95 of every label, and their means over labels, which come first.

    All three depend on the same networks; NSD and HD95 have errors of their own, those of HD95 with outliers.
    `[questions, tables, arms, seeds, subjects]`.
    """
    dice = setting.draw(tables, folds, rng)
    nsd = 1.5 * dice + setting.residual_sd * rng.standard_normal(dice.shape)
    outliers = 30 * (rng.random(dice.shape) < 0.03)
    hd95 = -100 * dice + rng.standard_normal(dice.shape) + outliers
    by_label = np.stack([dice, nsd, hd95])
    means = by_label.mean(axis=3, keepdims=True)
    questions = np.concatenate([means, by_label], axis=3) if setting.labels > 1 else by_label
    return np.moveaxis(questions, 3, 1).reshape(-1, *dice.shape[:2], *dice.shape[3:])


def false_reports(setting: Setting, tables: int, seed: int = 0) -> tuple[float, float]:
    """Return the share of studies whose primary question, and whose whole report, name a winner."""
    rng = np.random.default_rng(seed)
    folds = setting.draw_folds(rng)
    by_metric = draw_questions(setting, tables, folds, rng)
    p = np.stack([p_values(question, folds) for question in by_metric], axis=1)
    primary = (holm(p[:, 0]) < ALPHA).any(axis=1)
    secondary = (holm(p[:, 1:].reshape(tables, -1)) < ALPHA).any(axis=1)
    return float(primary.mean()), float((primary | secondary).mean())


def power(setting: Setting, tables: int, size: float = 0.8, seed: int = 0) -> float:
    """Return how often two arms that differ are told apart.

    Args:
        setting: of two arms.
        tables: how many.
        size: the difference over the standard deviation, over subjects, of seed-averaged differences.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    folds = setting.draw_folds(rng)
    values = setting.draw(tables, folds, rng).mean(axis=2)
    by_network = (setting.residual_sd**2 + setting.network_sd**2 + setting.training_set_sd**2) / setting.seeds
    values[:, 0] += size * np.sqrt(2 * (by_network + setting.subject_sd**2))
    return float((p_values(values, folds) < ALPHA).mean())


def rate(share: float, tables: int) -> str:
    """Write a share in percent with its standard error."""
    return f"{100 * share:4.1f} ± {100 * np.sqrt(max(share * (1 - share), 1e-9) / tables):.1f}"


def print_errors(kind: str, tables: int) -> None:
    """Print false winners on the primary question for a kind of settings."""
    print(f"{kind}: % of studies that name a false winner (old rule)")
    print("| arms | subjects | seeds |" + "".join(f" network SD {sd} |" for sd in (0, NETWORK_SD, 0.02)))
    worst = 0.0
    sizes = [*product((2, 4), (10, 24, 60), (1, 2, 3, 5)), (12, 24, 1), (12, 24, 3), (12, 60, 1), (12, 60, 5)]
    for arms, subjects, seeds in sizes:
        cells = []
        for network_sd in (0, NETWORK_SD, 0.02):
            setting = Setting(arms, subjects, seeds, network_sd, **KINDS[kind])
            new, old = false_winners(setting, tables)
            worst = max(worst, new)
            cells.append(f"{rate(new, tables)} ({100 * old:.0f})")
        print(f"| {arms} | {subjects} | {seeds} | " + " | ".join(cells) + " |", flush=True)
    print(f"largest: {rate(worst, tables)} %")


def print_report(tables: int) -> None:
    """Print false winners on the primary question and in the whole report."""
    print("| arms | subjects | seeds | labels | kind | primary | whole report |")
    sizes = [(2, 24, 1, 3), (2, 10, 3, 5), (4, 24, 3, 1), (4, 24, 3, 3), (4, 60, 1, 5), (6, 24, 2, 2), (12, 60, 1, 2)]
    for (arms, subjects, seeds, labels), kind in product(sizes, KINDS):
        setting = Setting(arms, subjects, seeds, labels=labels, **KINDS[kind])
        primary, report = false_reports(setting, tables)
        row = (arms, subjects, seeds, labels, kind, rate(primary, tables), rate(report, tables))
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


def print_power(tables: int) -> None:
    """Print power for a difference of 0.8 standard deviations, and how often equal arms are called equivalent."""
    print("| subjects | seeds | network SD | folds | power | equal arms equivalent | arms 0.01 apart equivalent |")
    for fixed, subjects, network_sd, seeds in product(
        (False, True), (10, 24, 60), (0.0, NETWORK_SD, 0.02), (1, 2, 3, 5)
    ):
        setting = Setting(2, subjects, seeds, network_sd, fixed=fixed)
        row = (subjects, seeds, network_sd, "fixed" if fixed else "redrawn", rate(power(setting, tables), tables))
        equal = [rate(equivalent(setting, tables, apart), tables) for apart in (0.0, 0.01)]
        print("| " + " | ".join(map(str, (*row, *equal))) + " |", flush=True)


def equivalent(setting: Setting, tables: int, apart: float, margin: float = 0.01, seed: int = 0) -> float:
    """Return how often two arms that lie `apart` are called equivalent within a margin."""
    rng = np.random.default_rng(seed)
    folds = setting.draw_folds(rng)
    paired = differences(setting.draw(tables, folds, rng).mean(axis=2))[:, 0] + apart
    fit = Design(np.ones(folds.shape, bool), folds).fit(paired)
    return float((np.maximum(fit.tail(margin - fit.mean), fit.tail(margin + fit.mean)) < ALPHA).mean())


def print_calibration(tables: int) -> None:
    """Print how p-values of equal arms are distributed, and how often intervals hold the truth."""
    levels = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.001)
    print("share of p below the level, over the level; then % of 95 % intervals that hold the truth: difference, d_z")
    print("| kind | subjects | seeds | network SD |" + "".join(f" {level} |" for level in levels) + " interval | d_z |")
    for kind, subjects, seeds, network_sd in product(KINDS, (6, 10, 24, 60), (1, 3), (0.0, NETWORK_SD, 0.02)):
        setting = Setting(2, subjects, seeds, network_sd, **KINDS[kind])
        p, held, d_held = calibration(setting, tables)
        cells = [f"{(p < level).mean() / level:.2f}" for level in levels]
        row = (kind, subjects, seeds, network_sd, *cells, f"{100 * held:.1f}", f"{100 * d_held:.1f}")
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


def calibration(setting: Setting, tables: int, size: float = 0.8, seed: int = 0) -> tuple[Array, float, float]:
    """Return p-values of equal arms, and how often the intervals of arms that differ hold difference and d_z."""
    rng = np.random.default_rng(seed)
    folds = setting.draw_folds(rng)
    paired = differences(setting.draw(tables, folds, rng).mean(axis=2))[:, 0]
    variance = (setting.residual_sd**2 + setting.network_sd**2) / setting.seeds + setting.subject_sd**2
    if setting.collapse:
        variance += COLLAPSE**2 * setting.collapse * (1 - setting.collapse) / setting.seeds
    spread = np.sqrt(2 * variance)
    fit = Design(np.ones(folds.shape, bool), folds).fit(paired + size * spread)
    half = fit.half_width()
    of_subjects = (paired + size * spread).mean(axis=1)
    d = np.array([cohens_dz(row, width) for row, width in zip(of_subjects, half, strict=True)])
    null = Design(np.ones(folds.shape, bool), folds).fit(paired).p_value()
    return (
        null,
        float((np.abs(fit.mean - size * spread) <= half).mean()),
        float(((d[:, 1] <= size) & (size <= d[:, 2])).mean()),
    )


def print_beyond(tables: int) -> None:
    """Print error and power if the subjects of the training sets influence the arms differently."""
    print(
        "% of studies of equal arms that differ on this data set alone: called different; by the sensitivity analysis"
    )
    print("| subjects | seeds | network SD | influence SD | verdict | beyond | power beyond (d = 0.8) |")
    for influence_sd, subjects, seeds, network_sd in product((0.0, 0.01), (24, 60), (1, 3, 5), (0.0, NETWORK_SD)):
        setting = Setting(2, subjects, seeds, network_sd, influence_sd=influence_sd)
        rng = np.random.default_rng(0)
        folds = setting.draw_folds(rng)
        values = setting.draw(tables, folds, rng).mean(axis=2)
        extra = beyond_this_data_set(1, setting.folds - 1)
        shares = [(p_values(values, folds, amount) < ALPHA).mean() for amount in (0.0, extra)]
        values[:, 0] += 0.8 * np.sqrt(2 * (RESIDUAL_SD**2 + network_sd**2 + influence_sd**2) / seeds)
        shares.append((p_values(values, folds, extra) < ALPHA).mean())
        row = (subjects, seeds, network_sd, influence_sd, *(rate(share, tables) for share in shares))
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


def print_training_sets(tables: int) -> None:
    """Print false winners and power if all seeds share their folds, and their training sets make a difference."""
    print("| seeds | share of the training set | false winners | power |")
    for seeds, share in product((2, 3, 5), (0.0, 0.25, 0.5)):
        own, shared = NETWORK_SD * np.sqrt(1 - share), NETWORK_SD * np.sqrt(share)
        setting = Setting(2, 24, seeds, own, fixed=True, training_set_sd=shared)
        row = (seeds, share, rate(false_winners(setting, tables)[0], tables), rate(power(setting, tables), tables))
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


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
        parts.append(source[source["fold"] == fold].assign(loss=f"arm {arm}", seed=seed))
    scores = pd.concat(parts, ignore_index=True)
    return scores.assign(fold=0) if by == "start" else scores


def print_trainings(folder: Path, draws: int) -> None:
    """Print how often relabelled trainings of one loss are called different, by verdicts and by the old rule."""
    runs = [pd.read_csv(path) for path in sorted(folder.glob("*.csv"))]
    print(f"{len(runs)} trainings of one loss: % of relabelled studies that name a winner")
    print("| relabelled by | arms | seeds | primary | whole report | old rule, primary |")
    for by, (arms, seeds) in product(("network", "start", "seed"), ((2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (6, 1))):
        rng = np.random.default_rng(0)
        wrong = np.array([_judge(relabelled(runs, arms, seeds, by, rng)) for _ in range(draws)])
        print(
            f"| {by} | {arms} | {seeds} | " + " | ".join(rate(share, draws) for share in wrong.mean(axis=0)) + " |",
            flush=True,
        )


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
    if arguments.part == "trainings":
        print_trainings(arguments.folder, arguments.tables)
    elif arguments.part == "errors":
        print_errors(arguments.kind, arguments.tables)
    else:
        parts = {
            "report": print_report,
            "power": print_power,
            "calibration": print_calibration,
            "beyond": print_beyond,
            "training-sets": print_training_sets,
        }
        parts[arguments.part](arguments.tables)


if __name__ == "__main__":
    main()
