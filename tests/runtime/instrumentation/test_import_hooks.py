"""Import hooks: a callback runs once, at the import by other code; the hook itself imports nothing."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from llmmetrics.instrumentation import import_hooks

_names = count()


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a package's module that is not imported yet."""
    package = f"arriving{next(_names)}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    (tmp_path / package / "inside.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield f"{package}.inside"
    for name in [each for each in sys.modules if each.startswith(package)]:
        del sys.modules[name]


def test_it_is_told_once_when_it_is_imported(module):
    told = []
    import_hooks.when(module, told.append)
    import_hooks.when(module, told.append)
    assert importlib.util.find_spec(module)
    assert not told
    assert module not in sys.modules
    imported = importlib.import_module(module)
    assert told == [imported, imported]
    importlib.import_module(module)
    importlib.reload(imported)
    assert len(told) == 2


def test_the_module_is_as_if_nobody_had_waited(module):
    told = []
    import_hooks.when(module, lambda module: told.append(module.VALUE))
    imported = importlib.import_module(module)
    # told after it was loaded
    assert told == [1]
    plain = importlib.import_module(module.partition(".")[0])
    assert type(imported.__loader__) is type(imported.__spec__.loader) is type(plain.__loader__)
    assert inspect.getsource(imported) == "VALUE = 1\n"
    assert imported.__spec__.cached


def test_it_is_told_at_once_of_what_is_there(module):
    imported = importlib.import_module(module)
    told = []
    import_hooks.when(module, told.append)
    assert told == [imported]


def test_it_is_told_nothing_once_it_is_called_off(module):
    told = []
    call_off = import_hooks.when(module, told.append)
    call_off()
    call_off()
    importlib.import_module(module)
    assert not told


def test_a_module_that_does_not_exist(module):
    missing = module + "not"
    import_hooks.when(missing, lambda _: None)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(missing)


def test_a_module_that_fails_and_is_imported_again(module, tmp_path):
    told = []
    import_hooks.when(module, told.append)
    source = tmp_path / module.replace(".", "/")
    source.with_suffix(".py").write_text("raise ImportError('not yet')\n")
    with pytest.raises(ImportError, match="not yet"):
        importlib.import_module(module)
    assert not told
    # of another length: what is cached is known by its time and its size
    source.with_suffix(".py").write_text("VALUE = 'now'\n")
    assert importlib.import_module(module).VALUE == "now"
    assert len(told) == 1


def test_many_threads_import_it_at_once(module):
    told = []
    import_hooks.when(module, told.append)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(importlib.import_module, [module] * 8))
    assert told == [found[0]]
