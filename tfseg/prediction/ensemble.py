"""Predict with the mean probability of several networks, and choose those that have not seen a scan."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from tfseg.core.errors import ConfigError
from tfseg.datasets.grids import Array
from tfseg.prediction.clean_up import CleanUp
from tfseg.prediction.dropout import Passes
from tfseg.prediction.forward import Forward
from tfseg.prediction.predictor import Predictor
from tfseg.prediction.temperature import CalibratedPredictor, Temperature
from tfseg.prepared.stored import Slices


@dataclass(frozen=True)
class MeanPredictor:
    """Average the probabilities of several predictors, which yield blocks of the same slices.

    Averaging probabilities keeps them probabilities; the mean of logits would not be.
    """

    predictors: Sequence[Predictor]

    def blocks(self, image: Slices) -> Iterator[Array]:
        """Yield the mean probabilities `[slice, h, w, classes]` of one block after another, summed in float32."""
        first, *others = (predictor.blocks(image) for predictor in self.predictors)
        for block, *more in zip(first, *others, strict=True):
            for other in more:
                block = block + other
            yield block / len(self.predictors) if more else block


@dataclass(frozen=True)
class Member:
    """A network of an ensemble.

    Args:
        name: for people, such as "fold 0".
        seen: subjects that it was trained on or selected by.
        load: returns it; it is kept once it is loaded.
        clean: rules that its validation subjects chose for its label maps.
        passes: returns its dropout passes; None if it has none. They are kept once they are loaded.
        temperature: that its validation subjects chose; None if none was fitted.
    """

    name: str
    seen: frozenset[str]
    load: Callable[[], Forward]
    clean: CleanUp = field(default_factory=CleanUp)
    passes: Callable[[], Passes] | None = None
    temperature: Temperature | None = None


def unseen_by(members: Sequence[Member], subjects: Collection[str]) -> list[Member]:
    """Return the members that have seen none of some subjects; all if every member has seen one.

    >>> members = [Member("fold 0", frozenset("ab"), ...), Member("fold 1", frozenset("bc"), ...)]
    >>> [member.name for member in unseen_by(members, {"a"})], len(unseen_by(members, {"b"}))
    (['fold 1'], 2)
    """
    return [member for member in members if member.seen.isdisjoint(subjects)] or list(members)


def predictor_of(
    members: Sequence[Member], make: Callable[[Forward], Predictor], calibrated: bool = False
) -> Predictor:
    """Return the predictor of one member, or the mean of several.

    Args:
        members: the networks.
        make: turns a network into a predictor.
        calibrated: scale the probabilities of each network by its own temperature, before they are averaged.
    """
    predictors = [make(member.load()) for member in members]
    if calibrated:
        temperatures = [member.temperature for member in members]
        predictors = [
            CalibratedPredictor(each, temperature) if temperature else each
            for each, temperature in zip(predictors, temperatures, strict=True)
        ]
    return predictors[0] if len(predictors) == 1 else MeanPredictor(predictors)


def check_temperatures(members: Sequence[Member], model: str) -> None:
    """Refuse networks without a temperature, by the name of their model.

    Raises:
        ConfigError: with how to get one.
    """
    if lacking := [member.name for member in members if member.temperature is None]:
        raise ConfigError(
            f"--calibrated: no temperature of {', '.join(lacking)} in {model}; fit fits one on the validation subjects "
            "of every fold with --set uncertainty.temperature=one, and an export holds that of one network (--fold)"
        )
