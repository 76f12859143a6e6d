"""Split subjects into those that train, validate and test in each fold."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from tfseg.config.config import VALIDATION_SHARE, HoldoutConfig
from tfseg.core import files
from tfseg.core.errors import ConfigError, DataError
from tfseg.datasets.grids import Array


@dataclass(frozen=True)
class Split:
    """The subjects of one fold; no subject is on two sides."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]

    def among(self, subjects: Collection[str]) -> "Split":
        """Return the split restricted to `subjects`."""
        return Split(*(tuple(each for each in part if each in subjects) for part in asdict(self).values()))

    def check(self, known: Collection[str], where: str) -> None:
        """Refuse a split that cannot be used; the message starts with `where`.

        Raises:
            ConfigError: if a part is empty, or a subject is unknown or on two sides.
        """
        parts = asdict(self)
        for name, part in parts.items():
            if not part:
                raise ConfigError(f"{where}: no subject in {name}")
            if unknown := set(part) - set(known):
                raise ConfigError(
                    f"{where}: unknown subjects in {name}: {_some(unknown)}; the subjects are {_some(known)} (with "
                    "--subject-pattern, a split lists subjects, not cases)"
                )
        everyone = Counter(subject for part in parts.values() for subject in part)
        if repeated := [subject for subject, times in everyone.items() if times > 1]:
            raise ConfigError(f"{where}: on two sides of the split: {', '.join(sorted(repeated)[:5])}")


def make_splits(
    subjects: Sequence[str],
    folds: int | HoldoutConfig,
    seed: int,
    strata: Mapping[str, str] = MappingProxyType({}),
    validation_share: float = VALIDATION_SHARE,
) -> list[Split]:
    """Split subjects into folds: each subject is tested in one fold, and validation is drawn from a fold's others.

    Args:
        subjects: their names, in any order.
        folds: number of folds, or the ratio of a single split.
        seed: of the random draw.
        strata: strata by subject; every part gets its share of each stratum, as nearly as the numbers allow.
        validation_share: share of validation subjects among those that a fold does not test, at least one and not all.

    Raises:
        ConfigError: if there are too few subjects to train, validate and test on.
    """
    names = sorted(set(subjects))
    groups = [strata.get(name, "") for name in names]
    order = _mixed(np.random.default_rng(seed).permutation(len(names)), groups)
    if isinstance(folds, HoldoutConfig):
        return [_holdout([names[i] for i in order], folds.ratio)]
    needed = max(folds, 4 if folds == 2 else 3)
    if len(names) < needed:
        raise ConfigError(f"folds: {folds} folds need at least {needed} subjects, received {len(names)}")
    splits = []
    for fold, test in enumerate(np.array_split(order, folds)):
        rest = _mixed(np.random.default_rng([seed, fold]).permutation(np.setdiff1d(order, test)), groups)
        n_val = _validating(validation_share, len(rest))
        parts = (rest[n_val:], rest[:n_val], test)
        splits.append(Split(*(tuple(names[i] for i in sorted(part)) for part in parts)))
    return splits


def _validating(share: float, others: int) -> int:
    return max(1, min(round(share * others), others - 1))


def _some(names: Collection[str], most: int = 5) -> str:
    """The first names in order, and dots if there are more."""
    return ", ".join(sorted(names)[:most]) + (", …" if len(names) > most else "")


def _mixed(shuffled: Array, groups: Sequence[str]) -> Array:
    """Reorder indices so that every stretch has its share of each group; a group's members keep their order.

    Member r of n is placed at (r + 1/2) / n of the whole, as in the Sainte-Laguë method of allocating seats.
    """
    sizes, seen = Counter(groups[index] for index in shuffled), Counter[str]()
    places = []
    for index in shuffled:
        group = groups[index]
        places.append((seen[group] + 0.5) / sizes[group])
        seen[group] += 1
    return shuffled[np.argsort(places, kind="stable")]


def _holdout(shuffled: list[str], ratio: tuple[float, float, float]) -> Split:
    if len(shuffled) < 3:
        raise ConfigError(f"folds: a holdout needs at least 3 subjects, received {len(shuffled)}")
    val, test = (max(1, round(len(shuffled) * part / sum(ratio))) for part in ratio[1:])
    train = len(shuffled) - val - test
    if train < 1:
        raise ConfigError(f"folds: the ratio {ratio} leaves none of {len(shuffled)} subjects to train on")
    parts = (shuffled[:train], shuffled[train : train + val], shuffled[train + val :])
    return Split(*(tuple(sorted(part)) for part in parts))


def to_json(splits: Sequence[Split]) -> str:
    """Return splits as the text of `splits.json`."""
    return json.dumps([asdict(split) for split in splits], indent=1)


def read_splits(
    path: Path, subjects: Sequence[str], seed: int, validation_share: float = VALIDATION_SHARE
) -> list[Split]:
    """Read splits from a file: tfseg's own, or nnU-Net's `splits_final.json`.

    nnU-Net calls the held-out part of a fold `val`; here it is tested, and a share of the rest validates.

    Raises:
        ConfigError: if the file is damaged, a part is empty, or a subject is unknown, on two sides or tested twice.
    """
    try:
        folds = json.loads(files.read_text(path))
        splits = []
        for fold, parts in enumerate(folds):
            train, val, test = (list(map(str, parts.get(part, []))) for part in ("train", "val", "test"))
            if "test" not in parts:
                drawn = np.random.default_rng([seed, fold]).permutation(sorted(train)).tolist()
                n_val = _validating(validation_share, len(drawn))
                train, val, test = sorted(drawn[n_val:]), sorted(drawn[:n_val]), val
            splits.append(Split(tuple(train), tuple(val), tuple(test)))
    except DataError as error:
        raise ConfigError(str(error)) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{path}: expected a list of folds with train, val and test: {error}") from error
    if not splits:
        raise ConfigError(f"{path}: lists no folds")
    for fold, split in enumerate(splits):
        split.check(subjects, f"{path}, fold {fold}")
    tested, times = Counter(subject for split in splits for subject in split.test).most_common(1)[0]
    if times > 1:
        raise ConfigError(f"{path}: {tested} is tested in {times} folds; every subject is scored once")
    return splits
