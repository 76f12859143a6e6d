"""Names of image files: their suffixes, the name without them, and which files of a folder are images."""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

# Longer suffixes first: `.nii.gz` is one suffix.
NIFTI = (".nii.gz", ".nii", ".hdr.gz", ".img.gz", ".hdr", ".img")
ITK = (".nrrd", ".nhdr", ".mha", ".mhd")
IMAGES_2D = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
SUFFIXES = (*NIFTI, *ITK, *IMAGES_2D)
# Suffixes of the files that hold the voxels of a header of its own, by the header's suffix.
DATA_OF = {
    ".hdr": (".img", ".img.gz"),
    ".hdr.gz": (".img.gz", ".img"),
    ".mhd": (".raw", ".zraw", ".raw.gz"),
    ".nhdr": (".raw", ".raw.gz", ".zraw"),
}


def suffix(path: Path) -> str:
    """Return the suffix that says which image format a file has, as it is written; "" if none does.

    >>> suffix(Path("case.1.NII.GZ")), suffix(Path("case.1"))
    ('.NII.GZ', '')
    """
    lower = path.name.lower()
    length = next((len(each) for each in SUFFIXES if lower.endswith(each)), 0)
    return path.name[len(path.name) - length :]


def stem(path: Path) -> str:
    """Return the name of an image file without its suffix, or that of a folder; other dots stay.

    >>> stem(Path("scans/case.1.nii.gz")), stem(Path("scans/case.1"))
    ('case.1', 'case.1')
    """
    name = os.path.basename(os.path.abspath(path))  # that of "." too; a link keeps its own name
    return name[: len(name) - len(suffix(Path(name)))]


def printable(name: str) -> str:
    r"""Return a name with the bytes that are not UTF-8 written as escapes, so that every output can hold it.

    >>> printable("p\udce9.png")
    'p\\xe9.png'
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def image_files(
    folder: Path, suffixes: Collection[str] = SUFFIXES, recursive: bool = False
) -> tuple[list[Path], list[Path]]:
    """Return the files of a folder with an image suffix, in any case, and its other files, each by name.

    Hidden files and folders are neither, and so are files that hold the voxels of a header beside them. A link to a
    file that is missing is a file, which cannot be read. A folder that is called like an image is one of the others,
    unless the files inside it are returned.
    """
    inside = folder.rglob("*") if recursive else folder.glob("*")
    every = sorted(path for path in inside if is_file_or_lost(path) or _stands_for_file(path, recursive))
    visible = [path for path in every if not is_hidden(path, folder)]
    headers = {(path.parent, stem(path), suffix(path).lower()) for path in visible}
    shown = [path for path in visible if not _holds_voxels(path, headers)]
    images: dict[bool, list[Path]] = {True: [], False: []}
    for path in shown:
        images[suffix(path).lower() in suffixes and not path.is_dir()].append(path)
    return images[True], images[False]


def is_file_or_lost(path: Path) -> bool:
    """Whether a path is a file, or a link to one that is missing: a case must not vanish with its file."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def _stands_for_file(path: Path, recursive: bool) -> bool:
    """Whether a folder has the name of an image; a case must not vanish with it."""
    return bool(suffix(path)) and path.is_dir() and not (recursive and any(map(is_file_or_lost, path.rglob("*"))))


def beside(path: Path, suffixes: Iterable[str]) -> Path | None:
    """Return the file of the same stem with the first of some suffixes, in lower or upper case, if there is one."""
    spelled = (each for suffix in suffixes for each in (suffix, suffix.upper()))
    return next((file for each in spelled if (file := path.with_name(stem(path) + each)).is_file()), None)


def namesake(path: Path) -> Path | None:
    """Return the file beside a path with the same stem, whatever its suffix and capitals; an image rather than another.

    None if there is none.
    """
    start = f"{stem(path)}.".lower()
    alike = [each for each in path.parent.glob("*") if each.name.lower().startswith(start) and each.is_file()]
    return min(alike, key=lambda each: (not suffix(each), each.name), default=None)


def parts(path: Path) -> list[Path]:
    """Return the files that an image is made of: itself, and the one with its voxels if it is only a header."""
    voxels = beside(path, DATA_OF.get(suffix(path).lower(), ()))
    return [path] if voxels is None else [path, voxels]


def is_hidden(path: Path, folder: Path) -> bool:
    """Whether a file, or a folder between it and `folder`, has a name that starts with a dot."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _holds_voxels(path: Path, headers: Collection[tuple[Path, str, str]]) -> bool:
    """Whether a file holds the voxels of one of some headers: (folder, stem, suffix)."""
    return any(
        path.name.lower().endswith(ending) and (path.parent, path.name[: -len(ending)], header) in headers
        for header, endings in DATA_OF.items()
        for ending in endings
    )
