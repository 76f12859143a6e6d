"""A model: networks, whom they have seen, and what they expect."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from tfseg.core import files
from tfseg.core.errors import ConfigError
from tfseg.prediction.description import Description, read_clean_up, read_description, read_temperature
from tfseg.prediction.dropout import saved_model_passes
from tfseg.prediction.ensemble import Member
from tfseg.prediction.forward import saved_model_forward
from tfseg.prepared.stored import seen_together


@dataclass(frozen=True)
class Model:
    """Networks that predict a scan together.

    Args:
        name: for people.
        description: what the networks expect.
        members: the networks.
        networks: the files or folders that they are read from.
        warnings: lines to report, about networks that are missing.
    """

    name: str
    description: Description
    members: tuple[Member, ...]
    networks: tuple[Path, ...]
    warnings: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over the files of all networks."""
        listed = [path for network in self.networks for path in sorted([network, *network.rglob("*")])]
        hashes = "".join(files.sha256(path) for path in listed if path.is_file())
        return hashlib.sha256(hashes.encode()).hexdigest()


def joined(models: Sequence[Model], name: str) -> Model:
    """Return the networks of several models as one model.

    Raises:
        ConfigError: if they were not trained on the same images, with the same targets.
    """
    first = models[0].description
    for model in models:
        if replace(model.description, batch_size=first.batch_size, flips=first.flips) != first:
            raise ConfigError(
                f"{model.name}: trained on other scans, or images of another kind, than {models[0].name}; the networks "
                "of an ensemble have those in common"
            )
    members = [replace(member, name=f"{model.name}, {member.name}") for model in models for member in model.members]
    networks = tuple(network for model in models for network in model.networks)
    warnings = tuple(line for model in models for line in model.warnings)
    return Model(name, first, tuple(members), networks, warnings)


def read_saved_model(folder: Path) -> Model:
    """Read an export; its networks have seen every subject of their training data.

    Raises:
        ConfigError: if it has no description, or one of another version.
        RunError: if it is damaged.
    """
    description = read_description(folder)
    name = folder.resolve().name
    channels = seen_together(description.neighbours) * len(description.channels)
    forward = saved_model_forward(folder, channels, (*description.shape, description.targets.channels))
    member = Member(
        "the exported networks",
        frozenset(description.subjects.values()),
        lambda: forward,
        clean=read_clean_up(folder),
        passes=cache(partial(saved_model_passes, folder, (*description.shape, channels))),
        temperature=read_temperature(folder),
    )
    return Model(name, description, (member,), (folder,))
