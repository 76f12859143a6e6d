"""What a person is told where a disk is full or a folder cannot be written to."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

OF_TENSORFLOW = {tf.errors.ResourceExhaustedError: errno.ENOSPC, tf.errors.PermissionDeniedError: errno.EACCES}


@contextmanager
def tensorflow_writes() -> Iterator[None]:
    """Turn TensorFlow's errors in writing a file into Python's.

    Raises:
        OSError: in place of an error of TensorFlow's.
    """
    try:
        yield
    except tf.errors.OpError as error:
        number = OF_TENSORFLOW.get(type(error), errno.EIO)
        raise OSError(number, os.strerror(number)) from error
