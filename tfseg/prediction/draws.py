"""Decide how the prediction of a scan is drawn: which networks, and how often each."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache

from tfseg.core.errors import ConfigError, DataError
from tfseg.prediction.dropout import Passes
from tfseg.prediction.ensemble import Member
from tfseg.prediction.forward import Forward
from tfseg.prediction.moments import DrawnForward, Moments
from tfseg.prediction.predictor import Predictor
from tfseg.prediction.sampling import sampling_predictor
from tfseg.prepared.targets import Targets


@dataclass(frozen=True)
class Sampling:
    """Way to draw predictions of a scan: dropout passes of every network, or several networks without dropout.

    Args:
        passes: dropout passes of each network; None: its plain prediction.
        seed: of the passes.
        per_class: whether the standard deviation of each class is measured, too.
    """

    passes: int | None
    seed: int = 0
    per_class: bool = False

    def moments(self, targets: Targets) -> Moments:
        """Return which moments of draws are kept."""
        return Moments(targets.channels, targets.activation, self.per_class)

    def check(self, members: Sequence[Member]) -> None:
        """Refuse networks that have no draws.

        Raises:
            ConfigError: if there is one network without passes, or the first has no dropout.
            RunError: if it is damaged.
        """
        if self.passes is not None:
            _passes_of(members[0])
        elif len(members) < 2:
            raise ConfigError(
                f"--uncertainty: expected several networks, received one, {members[0].name}; --mc-samples "
                "draws dropout passes of one"
            )

    def check_unseen(self, members: Sequence[Member], subjects: Collection[str]) -> None:
        """Refuse a scan for which the networks that may predict it are no ensemble.

        Args:
            members: those that have not seen the scan; all if every one has.
            subjects: whose scan it is in the training data.

        Raises:
            DataError: if there are several that have seen it, or one without passes.
        """
        if len(members) == 1 and self.passes is None:
            raise DataError(f"only {members[0].name} has not seen it, and one network is no ensemble; use --mc-samples")
        if len(members) > 1 and not all(member.seen.isdisjoint(subjects) for member in members):
            raise DataError("every network has seen it, so together they are no ensemble; choose one, as with --fold")

    def predictor(
        self,
        members: Sequence[Member],
        targets: Targets,
        make: Callable[[Forward], Predictor],
        case: str,
        batch_size: int,
    ) -> Predictor:
        """Return a predictor of the moments of the networks' draws; see `sampling_predictor`.

        Raises:
            ConfigError: if a network has no dropout.
        """
        moments = self.moments(targets)
        if self.passes is None:
            networks = [moments.of_forward(member.load()) for member in members]
        else:
            networks = [_drawn(_passes_of(member), moments) for member in members]
        return sampling_predictor(networks, moments, make, case, self.passes or 1, self.seed, batch_size)


def _passes_of(member: Member) -> Passes:
    if member.passes is None:
        raise ConfigError(f"--mc-samples: {member.name} has no dropout")
    return member.passes()


@cache
def _drawn(passes: Passes, moments: Moments) -> DrawnForward:
    """Compile once for all scans."""
    return moments.of_passes(passes)
