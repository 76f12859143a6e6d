"""Losses for segmentation under one convention; Keras is loaded when `LOSSES` or `get` is first used."""

import importlib
from typing import TYPE_CHECKING, Any

from tfseg.losses.spec import parse, parse_list

if TYPE_CHECKING:
    from tfseg.losses.catalogue import LOSSES, get

__all__ = ["LOSSES", "get", "parse", "parse_list"]


def __getattr__(name: str) -> Any:
    if name in ("LOSSES", "get"):
        return getattr(importlib.import_module("tfseg.losses.catalogue"), name)
    raise AttributeError(f"module 'tfseg.losses' has no attribute '{name}'")
