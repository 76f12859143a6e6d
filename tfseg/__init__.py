"""Medical image segmentation with Keras 3, made for comparing loss functions fairly.

>>> import tfseg
>>> type(tfseg.losses.get("tversky", alpha=0.3, beta=0.7)).__name__
'Tversky'
>>> sorted(name for name in dir(tfseg) if not name.startswith("_"))
['errors', 'losses', 'metrics', 'models']
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfseg import losses, metrics, models
    from tfseg.core import errors

__version__ = "0.1.0"
__all__ = ["__version__", "errors", "losses", "metrics", "models"]

# Imported when they are first used, so that `import tfseg` is instant.
_LAZY = {"errors": "tfseg.core.errors", "losses": "tfseg.losses", "metrics": "tfseg.metrics", "models": "tfseg.models"}


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        return import_module(_LAZY[name])
    raise AttributeError(f"module 'tfseg' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
