"""Put verdicts into sentences: which arm is better, by how much, and what would settle what is open."""

from collections.abc import Iterator, Sequence

import pandas as pd

from tfseg.metrics.table import METRICS, write_value
from tfseg.statistics.verdicts import Role, Verdict, describe

_OPPOSITE = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}


def headline(table: pd.DataFrame, unit: str = "mm") -> list[str]:
    """Say what the primary question decides: the arm with the best values against every other one.

    Args:
        table: as `tfseg.statistics.compare_arms` returns it.
        unit: of the distances.

    Returns:
        Sentences: the arms that the best one is better than, those equivalent to it, those open and what would settle
        it (by themselves, those open because networks collapsed), those not tested and why; then what holds of the
        other pairs, and beyond this dataset.
    """
    primary = table[table["role"] == Role.PRIMARY]
    if primary.empty:
        return []
    best = best_arm(primary)
    rivals = against(primary, best)
    what = describe(primary["label"].iloc[0], primary["metric"].iloc[0])
    return [*_about_best(best, rivals, what, unit), *_about_others(primary, best), *_limits(rivals, best, unit)]


def secondary_findings(table: pd.DataFrame) -> list[str]:
    """Say where arms differ on secondary questions, one sentence per pair.

    Args:
        table: as `tfseg.statistics.compare_arms` returns it.
    """
    secondary = table[(table["role"] == Role.SECONDARY) & table["verdict"].isin(list(_OPPOSITE))]
    won: dict[tuple[str, str], list[str]] = {}
    for _, row in secondary.iterrows():
        pair = (row["first"], row["second"])
        winner_first = pair if row["verdict"] == Verdict.BETTER else pair[::-1]
        won.setdefault(winner_first, []).append(describe(row["label"], row["metric"]))
    return [f"{winner} is better than {loser} on {join(questions)}." for (winner, loser), questions in won.items()]


def described_findings(table: pd.DataFrame, label: str, metrics: Sequence[str], unit: str = "mm") -> list[str]:
    """Say which arm has the best values on exploratory questions, and from which others an interval separates it.

    None is called better: these questions are not tested. If arms have one network each, what another training brings
    is unknown, and no interval separates them.

    Args:
        table: as `tfseg.statistics.compare_arms` returns it.
        label: of the questions.
        metrics: of the questions; those that are not in the table are left out.
        unit: of the distances.
    """
    sentences = []
    for metric in metrics:
        pairs = table[(table["label"] == label) & (table["metric"] == metric)].dropna(subset=["difference", "low"])
        if pairs.empty:
            continue
        best = best_arm(pairs)
        rivals = against(pairs, best)
        known = rivals["p"].notna()
        apart = known & ((rivals["low"] > 0) | (rivals["high"] < 0))
        what = describe(label, metric)
        asked = f"{what[0].upper()}{what[1:]}"
        if not apart.any():
            why = (
                f"no interval separates it from {join(list(rivals['second']))}"
                if known.all()
                else "with one network of an arm, another training may change the order"
            )
            sentences.append(f"{asked}: {best} has the best mean; {why}.")
            continue
        won, near = rivals[apart], list(rivals.loc[~apart, "second"])
        apart_from = f"an interval separates it from {join(list(won['second']))}: {_sizes(won, unit)}"
        unclear = f"; none separates it from {join(near)}" if near else ""
        sentences.append(f"{asked}: {best} has the best mean; {apart_from}{unclear}.")
    return sentences


def best_arm(pairs: pd.DataFrame) -> str:
    """Return the arm with the best values in the pairs of one question."""
    gain = pairs["difference"] * METRICS[pairs["metric"].iloc[0]].sign
    total = pd.concat([gain.groupby(pairs["first"]).sum(), -gain.groupby(pairs["second"]).sum()])
    order = dict.fromkeys([*pairs["first"], *pairs["second"]])
    return str(total.groupby(level=0).sum().reindex(list(order)).idxmax())


def against(pairs: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Return the pairs of one question that hold an arm, turned so that it comes first, closest rival first."""
    turned = pairs[pairs["second"] == arm].copy()
    for columns in (["first", "second"], ["collapsed_first", "collapsed_second"]):
        turned[columns] = turned[columns[::-1]].to_numpy()
    turned["difference"] *= -1
    for low, high in (("low", "high"), ("beyond_low", "beyond_high"), ("d_z_low", "d_z_high")):
        turned[[low, high]] = -turned[[high, low]].to_numpy()
    turned[["d_z", "rank_biserial"]] *= -1
    turned[["p_better", "p_beyond"]] = 1 - turned[["p_better", "p_beyond"]]
    turned["p_margin"] = float("nan")
    turned["verdict"] = turned["verdict"].map(lambda verdict: _OPPOSITE.get(verdict, verdict))
    rivals = pd.concat([pairs[pairs["first"] == arm], turned])
    return rivals.sort_values("difference", key=abs, kind="stable", ignore_index=True)


def join(parts: Sequence[str]) -> str:
    """Join words as a sentence does.

    >>> join(["a"]), join(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _about_best(best: str, rivals: pd.DataFrame, what: str, unit: str) -> Iterator[str]:
    of = {verdict: rivals[rivals["verdict"] == verdict] for verdict in Verdict}
    if len(better := of[Verdict.BETTER]):
        whom = "every other arm" if len(better) == len(rivals) > 1 else join(list(better["second"]))
        yield f"On this dataset, {best} is better than {whom} on {what}: {_sizes(better, unit)}."
    if len(equivalent := of[Verdict.EQUIVALENT]):
        margin = write_value(equivalent["metric"].iloc[0], equivalent["margin"].iloc[0], unit)
        arms = join([best, *equivalent["second"]])
        where = "" if len(better) else "On this dataset, "
        yield f"{where}{arms} are equivalent on {what}, within {margin}: {_sizes(equivalent, unit)}."
    has_collapsed = of[Verdict.OPEN][["collapsed_first", "collapsed_second"]].sum(axis=1) > 0
    for undecided in (of[Verdict.OPEN][~has_collapsed], of[Verdict.OPEN][has_collapsed]):
        if len(undecided):
            yield _about_open(best, undecided, what, unit)
    for reason, rows in of[Verdict.UNTESTED].groupby("note", sort=False):
        yield f"Not tested on {what}: {best} against {join(list(rows['second']))}: {reason}."


def _about_open(best: str, undecided: pd.DataFrame, what: str, unit: str) -> str:
    closest = undecided.iloc[0]
    arms = f"{best} or {join(list(undecided['second']))}"
    whose = "" if len(undecided) == 1 else f"to {closest['second']}, the closest, "
    return f"Open on {what}: {arms}. The difference {whose}is {_size(closest, unit)}; {closest['note']}."


def _about_others(primary: pd.DataFrame, best: str) -> Iterator[str]:
    others = primary[(primary["first"] != best) & (primary["second"] != best)]
    if len(others) == 1:
        pair = others.iloc[0]
        first, second = (
            (pair["second"], pair["first"]) if pair["verdict"] == Verdict.WORSE else pair[["first", "second"]]
        )
        said = {
            Verdict.EQUIVALENT: f"{first} and {second} are equivalent",
            Verdict.OPEN: f"the question of {first} or {second} is open",
            Verdict.UNTESTED: f"{first} against {second} is not tested",
        }
        yield f"Of the other arms, {said.get(pair['verdict'], f'{first} is better than {second}')}."
    elif len(others) > 1:
        kinds = others["verdict"].replace(Verdict.WORSE, Verdict.BETTER).value_counts()
        named = {
            Verdict.BETTER: ("differs", "differ"),
            Verdict.EQUIVALENT: ("is equivalent", "are equivalent"),
            Verdict.OPEN: ("is open", "are open"),
            Verdict.UNTESTED: ("is not tested", "are not tested"),
        }
        counts = [f"{kinds[kind]} {words[int(kinds[kind] > 1)]}" for kind, words in named.items() if kind in kinds]
        alike = f"All {len(others)} pairs of other arms {named[kinds.index[0]][1]}."
        yield alike if len(kinds) == 1 else f"Of the {len(others)} pairs of other arms, {join(counts)}."


def _limits(rivals: pd.DataFrame, best: str, unit: str) -> Iterator[str]:
    tested = rivals[(rivals["verdict"] != Verdict.UNTESTED) & (rivals["networks"] > 1)]
    networks = int(tested["networks"].min()) if len(tested) else 0
    if networks and tested["seeds"].min() == 1:
        yield (
            f"With one seed, how much networks differ is judged from {networks} folds: only large differences can be "
            "settled."
        )
    if networks and tested["training_sets"].max() == 1:
        yield f"The {networks} networks of an arm have one training set: what another one would change is unknown."
    better = rivals[(rivals["verdict"] == Verdict.BETTER) & rivals["p_beyond"].notna()]
    if len(better):
        closest = better.iloc[0]
        low, high = (write_value(closest["metric"], closest[end], unit) for end in ("beyond_low", "beyond_high"))
        yield (
            f"Beyond this dataset, as a sensitivity analysis: {best} is better than {closest['second']} with "
            f"probability {_probability(closest['p_beyond'])}, the difference {low} to {high}."
        )


def _sizes(rows: pd.DataFrame, unit: str) -> str:
    if len(rows) == 1:
        return f"by {_size(rows.iloc[0], unit)}"
    if len(rows) <= 4:
        return "; ".join(f"{row['second']} by {_size(row, unit)}" for _, row in rows.iterrows())
    closest, farthest = rows.iloc[0], rows.iloc[-1]
    return (
        f"by {_size(closest, unit)} over {closest['second']}, the closest, to {_size(farthest, unit)} over "
        f"{farthest['second']}"
    )


def _size(row: pd.Series, unit: str) -> str:
    """Write a difference so that a positive one is in favour of the first arm, whatever the metric's direction."""
    gain, ends = abs(row["difference"]), sorted(METRICS[row["metric"]].sign * row[["low", "high"]].astype(float))
    low, high = (write_value(row["metric"], end, unit) for end in ends)
    return f"{write_value(row['metric'], gain, unit)} (95 % interval {low.partition(' ')[0]} to {high})"


def _probability(value: float) -> str:
    return "over 0.99" if value > 0.99 else f"{value:.2f}"
