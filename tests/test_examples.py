"""The examples in docstrings run, so that none of them can promise what is not so."""

import doctest
import importlib
import pkgutil

import pytest

import convlens

# the module that runs the command when it is imported
NOT_TO_IMPORT = {"convlens.__main__"}
MODULES = [module.name for module in pkgutil.walk_packages(convlens.__path__, "convlens.")]


@pytest.mark.parametrize("name", sorted({"convlens", *MODULES} - NOT_TO_IMPORT))
def test_docstring_examples_run(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0
