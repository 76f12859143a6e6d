"""Judge whether a comparison was a fair experiment: its networks by their learning curves, and its design."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from tfseg.config.config import Config
from tfseg.statistics import Verdict

FEW_VALIDATION_SUBJECTS = 5
LISTED = 5  # networks
NETWORK_CHECKS = {
    "unconverged": "converged: validation no longer improved in the last quarter",
    "collapsed": "no collapsed or constant prediction",
    "diverged": "not diverged",
    "edge": "the best epoch comes before the last of the budget",
}
NOTED = {"unconverged": "not shown to have converged", "collapsed": "collapsed in validation", "diverged": "diverged"}


class Answer(NamedTuple):
    """The answer to one question about the experiment: whether all is well, and what was found."""

    question: str
    is_well: bool
    found: str


def network_answers(networks: pd.DataFrame) -> list[Answer]:
    """Say for every check of networks how many pass, and which do not.

    Args:
        networks: a row per network, columns `loss` (the arm), `seed`, `fold` and `checks`, what
            `tfseg.training.checks.check_training` returned.
    """
    answers = []
    for check, question in NETWORK_CHECKS.items():
        failing = networks[[check in checks for checks in networks["checks"]]]
        listed = [
            f"{loss} (seed {seed}, fold {fold}): {checks[check]}"
            for loss, seed, fold, checks in failing[["loss", "seed", "fold", "checks"]].itertuples(index=False)
        ]
        passed = f"{len(networks) - len(failing)} of {len(networks)} networks"
        more = [f"and {len(listed) - LISTED} more in networks.csv"] if len(listed) > LISTED else []
        answers.append(Answer(question, not listed, "; ".join([passed, *listed[:LISTED], *more])))
    return answers


def study_answers(
    configs: Sequence[Config], splits: Sequence[Mapping[str, Sequence[str]]], networks: pd.DataFrame
) -> list[Answer]:
    """Say what the design of a study leaves unequal or uncertain.

    Args:
        configs: of the arms.
        splits: of all folds and seeds.
        networks: as in `network_answers`, with the column `learning_rate` if rates were chosen.
    """
    return [
        _rate(configs, networks),
        _scale(configs),
        _validation(splits),
        _selection(splits),
        _sizes(splits),
        _folds(splits, networks),
    ]


def network_notes(networks: pd.DataFrame) -> dict[str, str]:
    """Say of every arm how many of its networks make a verdict on it doubtful; nothing of an arm without any.

    Args:
        networks: as in `network_answers`.

    >>> checks = [{}, {"collapsed": "val_dice stays 0.000"}]
    >>> network_notes(pd.DataFrame({"loss": "ce", "seed": 0, "fold": [0, 1], "checks": checks}))
    {'ce': 'ce: 1 of 2 networks collapsed in validation'}
    """
    notes = {}
    for arm, own in networks.groupby("loss", sort=False):
        counts = {word: sum(check in checks for checks in own["checks"]) for check, word in NOTED.items()}
        parts = [f"{count} of {len(own)} networks {word}" for word, count in counts.items() if count]
        if parts:
            notes[str(arm)] = f"{arm}: {', '.join(parts)}"
    return notes


def with_notes(tests: pd.DataFrame, notes: Mapping[str, str]) -> pd.DataFrame:
    """Return a table of pairs whose column `note` also says what is doubtful about the networks of either arm."""
    noted = [
        "; ".join(filter(None, [row["note"], notes.get(row["first"]), notes.get(row["second"])]))
        for _, row in tests.iterrows()
    ]
    return tests.assign(note=noted)


def caveat(tests: pd.DataFrame, notes: Mapping[str, str]) -> list[str]:
    """Return the sentence for the headline if a verdict rests on doubtful networks; nothing if none does.

    Args:
        tests: the pairs of the primary question.
        notes: as `network_notes` returns them.
    """
    judged = tests[tests["verdict"] != Verdict.UNTESTED]
    doubtful = [note for arm, note in notes.items() if arm in {*judged["first"], *judged["second"]}]
    return [f"These verdicts rest on doubtful networks: {'; '.join(doubtful)}."] if doubtful else []


def _rate(configs: Sequence[Config], networks: pd.DataFrame) -> Answer:
    question = "every arm has a learning rate of its own"
    if all(config.training.rates for config in configs):
        counts = networks.groupby(["loss", "learning_rate"], sort=False).size().reset_index()
        chosen = "; ".join(f"{loss} {rate:g}: {count}" for loss, rate, count in counts.itertuples(index=False))
        rule = f"chosen within every fold by {configs[0].training.select_by}"
        return Answer(question, True, f"{rule}; networks with each rate: {chosen}")
    rates = {stage.training.learning_rate for config in configs for stage in config.resolved_stages()}
    listed = ", ".join(f"{rate:g}" for rate in sorted(rates))
    return Answer(question, False, f"{listed} was not chosen for each arm; --rates does so within every fold")


def _scale(configs: Sequence[Config]) -> Answer:
    question = "a loss times a constant trains the same network"
    trainings = [stage.training for config in configs for stage in config.resolved_stages()]
    depends = {
        "sgd": any(training.optimizer == "sgd" for training in trainings),
        "clip_norm": any(training.clip_norm is not None for training in trainings),
        "l1": any(training.l1 for training in trainings),
    }
    if reasons := " and ".join(name for name, is_so in depends.items() if is_so):
        return Answer(question, False, f"under {reasons}, the scale of a loss changes its training")
    return Answer(question, True, "Adam takes steps of the same size whatever the scale of the loss")


def _validation(splits: Sequence[Mapping[str, Sequence[str]]]) -> Answer:
    counts = [len(split["val"]) for split in splits]
    question = f"at least {FEW_VALIDATION_SUBJECTS} validation subjects choose the epoch"
    return Answer(question, min(counts) >= FEW_VALIDATION_SUBJECTS, _range(counts))


def selects_on_test(splits: Sequence[Mapping[str, Sequence[str]]]) -> bool:
    """Whether subjects that are scored also chose the epoch."""
    return any(set(split["val"]) & set(split["test"]) for split in splits)


def _selection(splits: Sequence[Mapping[str, Sequence[str]]]) -> Answer:
    question = "test subjects took part in no choice"
    if selects_on_test(splits):
        return Answer(question, False, "they chose the epoch, as select_on: test asks, so their scores flatter")
    return Answer(question, True, "validation subjects chose the epoch")


def _sizes(splits: Sequence[Mapping[str, Sequence[str]]]) -> Answer:
    sizes = {part: [len(split[part]) for split in splits] for part in ("train", "val", "test")}
    is_equal = all(max(counts) - min(counts) <= 1 for counts in sizes.values())
    found = ", ".join(f"{_range(counts)} {part}" for part, counts in sizes.items())
    return Answer("folds differ by one subject at most", is_equal, f"{found}; the same for every arm")


def _folds(splits: Sequence[Mapping[str, Sequence[str]]], networks: pd.DataFrame) -> Answer:
    question = "every seed draws its folds anew"
    seeds, folds = networks["seed"].nunique(), networks["fold"].nunique()
    sets = len({tuple(sorted(split["train"])) for split in splits})
    counted = f"{sets} training {'set' if sets == 1 else 'sets'}"
    if seeds == 1:
        return Answer(question, True, f"one seed: {counted}")
    if sets <= folds:
        return Answer(question, False, f"all {seeds} seeds share {counted}, so seeds do not sample training sets")
    return Answer(question, True, f"{counted} under {seeds} seeds, so seeds sample training sets too")


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low} to {high}"
