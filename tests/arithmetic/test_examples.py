import doctest
import importlib
import pkgutil

import pytest

import convlens.arithmetic

MODULES = [module.name for module in pkgutil.walk_packages(convlens.arithmetic.__path__, "convlens.arithmetic.")]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0
