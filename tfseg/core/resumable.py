"""Report clearly that a disk is full or a folder cannot be written to."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO}


@contextmanager
def resumable(out: Path) -> Iterator[None]:
    """Turn a write error of this block into a message that names the folder and says that work can be resumed.

    Raises:
        OSError: with the same errno.
    """
    try:
        yield
    except OSError as error:
        number = errno.ENOSPC if _is_cut_short(error) else error.errno
        elsewhere = error.filename and not Path(error.filename).resolve().is_relative_to(out.resolve())
        if number not in CANNOT_WRITE or elsewhere:
            raise
        message = f"{os.strerror(number)}: cannot write to {out}; once it can be written to, the same command resumes"
        raise OSError(number, message) from error


def _is_cut_short(error: OSError) -> bool:
    """Return whether NumPy wrote only part of an array, which it reports without an errno."""
    return error.errno is None and re.fullmatch(r"\d+ requested and \d+ written", str(error)) is not None
