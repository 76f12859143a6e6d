"""The examples in docstrings run and give what they show."""

import doctest
import importlib
import pkgutil

import pytest

ROOMS = ("metrics", "statistics")


def modules(room: str) -> list[str]:
    package = importlib.import_module(f"tfseg.{room}")
    return [package.__name__, *(each.name for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}."))]


@pytest.mark.parametrize("room", ROOMS)
def test_examples(room):
    results = [doctest.testmod(importlib.import_module(name)) for name in modules(room)]
    assert sum(result.failed for result in results) == 0
    assert sum(result.attempted for result in results) > 0
