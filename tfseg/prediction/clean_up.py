"""Rules that clean up a predicted label map: keep the largest component of a label, drop its small ones."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from tfseg.core.errors import ConfigError
from tfseg.datasets.grids import Array
from tfseg.preparation.label_maps import clean_up


@dataclass(frozen=True)
class CleanUp:
    """The labels that keep only their largest component, and the fewest voxels of a component of others, by name.

    Voxels that touch by a face, an edge or a corner are connected.
    """

    largest: tuple[str, ...] = ()
    min_voxels: Mapping[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.largest or self.min_voxels)

    def __str__(self) -> str:
        """Return the rules as they are typed.

        >>> str(CleanUp(("spleen",), {"tumour": 70}))
        'largest:spleen,min:tumour=70'
        """
        fewest = (f"min:{name}={voxels}" for name, voxels in self.min_voxels.items())
        return ",".join([*(f"largest:{name}" for name in self.largest), *fewest])

    def check(self, labels: Mapping[int, str]) -> None:
        """Refuse labels that a network does not know.

        Raises:
            ConfigError: with the labels that there are.
        """
        for name in (*self.largest, *self.min_voxels):
            if name not in labels.values():
                raise ConfigError(f"--clean: expected labels of {', '.join(labels.values())}, received {name}")

    def apply(self, classes: Array, labels: Mapping[int, str]) -> Array:
        """Clean up class indices `[i, j, k]`; class 1, 2, … is the first, second, … of the labels."""
        index = {name: number for number, name in enumerate(labels.values(), start=1)}
        fewest = {index[name]: voxels for name, voxels in self.min_voxels.items()}
        return clean_up(classes, [index[name] for name in self.largest], fewest) if self else classes


def agreed(rules: Sequence[CleanUp]) -> CleanUp:
    """Return the rules that more than half of some networks have; of several numbers of voxels, the median.

    >>> agreed([CleanUp(("a",)), CleanUp(("a",), {"b": 10}), CleanUp((), {"b": 30})])
    CleanUp(largest=('a',), min_voxels={'b': 20})
    """
    half = len(rules) / 2
    largest = Counter(name for each in rules for name in each.largest)
    fewest: dict[str, list[int]] = {}
    for each in rules:
        for name, voxels in each.min_voxels.items():
            fewest.setdefault(name, []).append(voxels)
    return CleanUp(
        tuple(name for name, times in largest.items() if times > half),
        {name: round(median(voxels)) for name, voxels in fewest.items() if len(voxels) > half},
    )


def parse_clean_up(text: str) -> CleanUp:
    """Read rules such as `largest:spleen,min:tumour=70`; none if the text is empty or "none".

    Raises:
        ConfigError: if a rule is not one of these.

    >>> parse_clean_up("largest:spleen,min:tumour=70")
    CleanUp(largest=('spleen',), min_voxels={'tumour': 70})
    """
    largest, fewest = [], {}
    if text in ("", "none"):
        return CleanUp()
    for rule in text.split(","):
        kind, _, what = rule.strip().partition(":")
        name, equals, voxels = what.rpartition("=")
        if kind == "largest" and what:
            largest.append(what)
        elif kind == "min" and equals and name and voxels.isdigit() and int(voxels) > 0:
            fewest[name] = int(voxels)
        else:
            raise ConfigError(f"--clean: expected largest:LABEL or min:LABEL=VOXELS, received {rule.strip()!r}")
    return CleanUp(tuple(largest), fewest)
