import doctest
import importlib
import pkgutil

import pytest

import convlens.arithmetic

MODULES = [module.name for module in pkgutil.iter_modules(convlens.arithmetic.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name):
    module = importlib.import_module(f"convlens.arithmetic.{name}")
    assert doctest.testmod(module).failed == 0
