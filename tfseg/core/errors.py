"""Define the errors about a user's call or data; any other exception is a fault of tfseg."""

__all__ = ["ConfigError", "DataError", "RunError", "TfsegError", "is_fault", "one_line"]


class TfsegError(Exception):
    """The base of every error that tfseg raises about a call, a configuration, data or a run."""


class ConfigError(TfsegError, ValueError):
    """A configuration or call that cannot be carried out as written."""


class DataError(TfsegError, ValueError):
    """A scan, a label map or a dataset that cannot be used."""


class RunError(TfsegError, ValueError):
    """A training, a run folder or a comparison that failed, is incomplete or is damaged."""


def is_fault(error: Exception) -> bool:
    """Return whether an error is a fault of tfseg: not about a call, data, a path or the memory of the machine.

    >>> is_fault(DataError("scan.nii.gz: no such file"))
    False
    >>> is_fault(ValueError("operands could not be broadcast together"))
    True
    """
    return not isinstance(error, TfsegError | OSError | MemoryError)


def one_line(error: Exception) -> str:
    r"""Return the message of an error without line breaks; its type if it has no message.

    >>> one_line(ValueError("two\n  lines"))
    'two lines'
    >>> one_line(MemoryError())
    'MemoryError'
    """
    return " ".join(str(error).split()) or type(error).__name__
