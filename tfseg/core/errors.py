"""Errors that are about a user's call or data; any other exception is a fault of tfseg."""


class TfsegError(Exception):
    """The base of every error that tfseg raises about a call, a configuration, data or a run."""


class ConfigError(TfsegError, ValueError):
    """A configuration or call that cannot be carried out as written."""


class DataError(TfsegError, ValueError):
    """A scan, a label map or a dataset that cannot be used."""


class RunError(TfsegError, ValueError):
    """A run folder or comparison that is incomplete, damaged, or holds networks that failed."""
