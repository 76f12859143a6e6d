"""Segmentation losses under one convention, by name or as classes. Keras is imported on first use."""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from tfseg.losses.spec import parse, parse_list, title

if TYPE_CHECKING:
    from tfseg.losses.catalogue import FAMILIES, LOSSES, get, make
    from tfseg.losses.weighted_sum import RampCallback, WeightedSum

__all__ = ["FAMILIES", "LOSSES", "RampCallback", "WeightedSum", "get", "make", "parse", "parse_list", "title"]


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):
        catalogue = importlib.import_module("tfseg.losses.catalogue")
        if hasattr(catalogue, name):
            return getattr(catalogue, name)
    raise AttributeError(f"module 'tfseg.losses' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names; the class of each loss is one too, once Keras is imported."""
    catalogue = sys.modules.get("tfseg.losses.catalogue")
    return sorted([*__all__, *(kind.__name__ for kind in catalogue.LOSSES.values())]) if catalogue else __all__
