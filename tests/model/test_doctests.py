import doctest
import importlib
import pkgutil

import pytest

from webtext import model

MODULES = [found.name for found in pkgutil.walk_packages(model.__path__, "webtext.model.")]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_the_docstrings_hold(name):
    if name.endswith(".softmax_kernel"):
        pytest.importorskip("triton", reason="Triton comes with torch's builds for CUDA only")
    assert doctest.testmod(importlib.import_module(name)).failed == 0
