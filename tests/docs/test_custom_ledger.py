"""The ledger that a page shows in one file passes the suite that our own ledgers pass."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from support import LONG, SOAK
from support.documentation import DOCS

PLUGIN = """
import acme_ledger
from llmmetrics.budgets import ledgers

opened = {}
ledgers.register("acme", lambda _, namespace, __: opened.setdefault(namespace, acme_ledger.AcmeLedger()))
"""


@pytest.mark.skipif(not SOAK, reason=LONG)
def test_the_ledger_of_the_page(tmp_path):
    page = (DOCS / "custom-ledgers.md").read_text("utf8")
    (code,) = re.findall(r'```python title="acme_ledger.py"\n(.*?)\n```', page, re.DOTALL)
    (tmp_path / "acme_ledger.py").write_text(code)
    (tmp_path / "acme_plugin.py").write_text(PLUGIN)
    environ = {**os.environ, "PYTHONPATH": str(tmp_path), "LLMMETRICS_LEDGER": "acme://"}
    suite = ["-m", "pytest", "-p", "acme_plugin", "tests/runtime/budgets/ledgers", "-k", "acme", "-q"]
    done = subprocess.run(
        [sys.executable, *suite], cwd=DOCS.parent, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 100
