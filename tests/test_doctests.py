"""The examples in docstrings run and give what they show."""

import doctest
import pkgutil
from collections import Counter
from importlib import import_module

import tfseg

WITH_EXAMPLES = {"core", "metrics", "statistics"}


def test_examples():
    names = ["tfseg", *(found.name for found in pkgutil.walk_packages(tfseg.__path__, "tfseg."))]
    results = {name: doctest.testmod(import_module(name)) for name in names}
    assert [name for name, result in results.items() if result.failed] == []
    attempted = Counter[str]()
    for name, result in results.items():
        attempted[name.removeprefix("tfseg.").partition(".")[0]] += result.attempted
    assert {room for room in WITH_EXAMPLES if not attempted[room]} == set()
