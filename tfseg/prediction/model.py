"""A model: networks, whom they have seen, and what they expect."""

import hashlib
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from tfseg.core import files
from tfseg.prediction.description import Description, read_description
from tfseg.prediction.ensemble import Member
from tfseg.prediction.forward import saved_model_forward


@dataclass(frozen=True)
class Model:
    """What predicts a scan.

    Args:
        name: for people.
        description: what the networks expect.
        members: the networks.
        networks: the files or folders that they are read from.
    """

    name: str
    description: Description
    members: tuple[Member, ...]
    networks: tuple[Path, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over the files of all networks."""
        listed = [path for network in self.networks for path in sorted([network, *network.rglob("*")])]
        hashes = "".join(files.sha256(path) for path in listed if path.is_file())
        return hashlib.sha256(hashes.encode()).hexdigest()


def read_saved_model(folder: Path) -> Model:
    """Read an export; its networks have seen every subject of their training data.

    Raises:
        ConfigError: if it has no description, or one of another version.
        RunError: if it is damaged.
    """
    description = read_description(folder)
    name = folder.resolve().name
    member = Member(
        "the exported networks", frozenset(description.subjects.values()), cache(partial(saved_model_forward, folder))
    )
    return Model(name, description, (member,), (folder,))
