"""Segmentation losses under one convention, by name or as classes. Keras is imported on first use."""

import importlib
from typing import TYPE_CHECKING, Any

from tfseg.losses.spec import parse, parse_list, title

if TYPE_CHECKING:
    from tfseg.losses.catalogue import FAMILIES, LOSSES, get, make

__all__ = ["FAMILIES", "LOSSES", "get", "make", "parse", "parse_list", "title"]


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):
        catalogue = importlib.import_module("tfseg.losses.catalogue")
        if hasattr(catalogue, name):
            return getattr(catalogue, name)
    raise AttributeError(f"module 'tfseg.losses' has no attribute {name!r}")
