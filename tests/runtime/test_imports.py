"""The public names of `import llmmetrics`."""

from __future__ import annotations

from importlib.metadata import version

import pytest

import llmmetrics


def test_every_public_name_is_there():
    everything = {}
    exec("from llmmetrics import *", everything)
    for name in llmmetrics.__all__:
        assert everything[name] is getattr(llmmetrics, name)
        assert everything[name].__name__ == name
    assert {*llmmetrics.__all__} <= {*dir(llmmetrics)}


def test_the_version_is_the_distributions():
    assert llmmetrics.__version__ == version("llmmetrics")


@pytest.mark.parametrize("name", ["__versoin__", "meters", "Metre"])
def test_a_misspelt_name_has_no_value(name):
    with pytest.raises(AttributeError, match=f"module 'llmmetrics' has no attribute '{name}'"):
        getattr(llmmetrics, name)
