"""The scheme of a URL picks a ledger: one that is registered, or one that an installed package names."""

from __future__ import annotations

import pytest

from llmmetrics.budgets import ledgers
from llmmetrics.budgets.ledgers.memory import MemoryLedger
from llmmetrics.errors import ConfigError


@pytest.fixture(autouse=True)
def factories(monkeypatch):
    monkeypatch.setattr(ledgers, "_FACTORIES", dict(ledgers._FACTORIES))


def test_a_registered_scheme_gets_the_url_the_namespace_and_the_durability():
    calls, ledger = [], MemoryLedger()

    def open_acme(*args):
        calls.append(args)
        return ledger

    ledgers.register("acme", open_acme)
    assert ledgers.open_ledger("acme://host/db", namespace="n", durability="full") is ledger
    assert calls == [("acme://host/db", "n", "full")]


def test_a_registered_scheme_replaces_ours():
    ledger = MemoryLedger()
    ledgers.register("sqlite", lambda *_: ledger)
    assert ledgers.open_ledger("sqlite:///x.db", namespace="n") is ledger


def test_an_installed_package_names_a_scheme(tmp_path, monkeypatch):
    package = tmp_path / "acme-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[llmmetrics.ledgers]\nacme = acme_ledger_of_a_test:open_acme\n")
    (tmp_path / "acme_ledger_of_a_test.py").write_text(
        "from llmmetrics.budgets.ledgers.memory import MemoryLedger\n\n\n"
        "def open_acme(url, namespace, durability):\n    return MemoryLedger()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert isinstance(ledgers.open_ledger("acme://", namespace="n"), MemoryLedger)
    ledgers.look("acme://")


def test_an_unknown_scheme_is_an_error_that_says_how_to_register():
    with pytest.raises(ConfigError, match=r"begins with acme://: .*\.register"):
        ledgers.open_ledger("acme://user:secret@host", namespace="n")
