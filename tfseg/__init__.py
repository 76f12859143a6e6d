"""Medical image segmentation with Keras 3, made for comparing loss functions fairly."""

import importlib
from types import ModuleType

__version__ = "0.1.0"

_LAZY = ("losses", "metrics", "models")


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        return importlib.import_module(f"tfseg.{name}")
    raise AttributeError(f"module 'tfseg' has no attribute '{name}'")
