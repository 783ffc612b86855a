"""What `import llmmetrics` loads, and that every public name is there."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from support import alone

import llmmetrics

LOADED = "print(*sorted(each for each in sys.modules if each.partition('.')[0] in {'llmmetrics', 'pydantic'}))"


@pytest.mark.parametrize(
    ("statement", "loaded"),
    [
        ("import llmmetrics", ["llmmetrics"]),
        ("from llmmetrics import BudgetExceeded", ["llmmetrics", "llmmetrics.errors"]),
        ("import llmmetrics; llmmetrics.Clock", ["llmmetrics", "llmmetrics.system"]),
    ],
)
def test_an_import_loads_what_the_program_uses(statement, loaded):
    modules = alone(f"import sys\n{statement}\n{LOADED}").split()
    assert [each for each in modules if not each.startswith("llmmetrics.system.")] == loaded


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
