"""What a person is told when a disk is full or a folder cannot be written to."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO}


@contextmanager
def resumable(out: Path) -> Iterator[None]:
    """Let an error in writing, of this block's work in a folder, say where it was and that nothing is lost.

    Raises:
        OSError: with the same number.
    """
    try:
        yield
    except OSError as error:
        number = errno.ENOSPC if _is_cut_short(error) else error.errno
        elsewhere = error.filename and not Path(error.filename).resolve().is_relative_to(out.resolve())
        if number not in CANNOT_WRITE or elsewhere:
            raise
        told = f"{os.strerror(number)}: cannot write to {out}; when it can be, the same command goes on from here"
        raise OSError(number, told) from error


def _is_cut_short(error: OSError) -> bool:
    """Whether NumPy wrote a part of an array, which it tells without a number."""
    return error.errno is None and re.fullmatch(r"\d+ requested and \d+ written", str(error)) is not None
