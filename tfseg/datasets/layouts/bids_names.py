"""Take the names of BIDS files apart: `sub-01_ses-1_acq-3d_T1w.nii.gz` is entities, a suffix and an image format."""

from dataclasses import dataclass
from pathlib import Path

from tfseg.datasets.names import ITK, NIFTI, image_files, stem

# Entities that say whose scan a file is and when it was made; a case is one of each.
CASE_ENTITIES = ("sub", "ses", "run")
# Entities of the grid, which do not say which channel or label a file is.
GRID_ENTITIES = ("space", "res")


@dataclass(frozen=True)
class BidsFile:
    """A volume, or a table, with the entities of its name and its suffix."""

    path: Path
    entities: dict[str, str]
    suffix: str

    @property
    def case(self) -> str:
        """Subject, session and run."""
        return "_".join(f"{key}-{value}" for key, value in self.case_entities.items())

    @property
    def case_entities(self) -> dict[str, str]:
        """Entities of subject, session and run."""
        return {key: self.entities[key] for key in CASE_ENTITIES if key in self.entities}

    @property
    def kind(self) -> str:
        """The name without the case and the grid: `acq-3d_T1w`, `label-lesion_mask`."""
        others = (f"{key}-{value}" for key, value in self.entities.items() if key not in CASE_ENTITIES + GRID_ENTITIES)
        return "_".join((*others, self.suffix))

    @property
    def grid(self) -> tuple[str | None, ...]:
        """The names of its space and resolution."""
        return tuple(self.entities.get(key) for key in GRID_ENTITIES)

    @property
    def datatype(self) -> str:
        """The name of its folder: `anat`, `dwi`, `func`."""
        return self.path.parent.name

    def may_be_of(self, other: "BidsFile") -> bool:
        """Whether subject, session and run of two files are the same as far as both names have them."""
        own, others = self.case_entities, other.case_entities
        return all(others.get(key, value) == value for key, value in own.items())


def parse(path: Path) -> BidsFile | None:
    """Return a file with the entities of its name; None if it is not named so."""
    *pairs, suffix = stem(path).split("_")
    entities = dict(pair.split("-", 1) for pair in pairs if "-" in pair)
    return BidsFile(path, entities, suffix) if len(entities) == len(pairs) and "sub" in entities else None


def files_of(folder: Path) -> tuple[list[BidsFile], list[Path]]:
    """Return the volumes of a folder and the folders in it: those that are named as BIDS files, and the others."""
    volumes, _ = image_files(folder, (*NIFTI, *ITK), recursive=True)
    named = {path: file for path in volumes if (file := parse(path))}
    return list(named.values()), [path for path in volumes if path not in named]
