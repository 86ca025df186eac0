import doctest
import importlib
import pkgutil

import pytest

from webtext import model


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(model.__path__)])
def test_the_examples_in_the_docstrings_hold(name):
    assert doctest.testmod(importlib.import_module(f"model.{name}")).failed == 0
