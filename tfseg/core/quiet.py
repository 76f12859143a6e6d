"""Holding back what native libraries print while they start."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep standard error, that of native code too, from being shown unless the block fails.

    TensorFlow announces its choice of instructions at every start, and every GPU driver that it does not find,
    whatever TF_CPP_MIN_LOG_LEVEL says.
    """
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(shown, held.read())
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)
