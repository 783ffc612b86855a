"""The pages are in plain English: some words are not used, also in the docstrings and help that pages are made from."""

from __future__ import annotations

import re

import pytest
from support.documentation import DOCS, ROOT, name, pages

AVOIDED = re.compile(r"\b(nobody|whoever|whom|anew|beside|for ever)\b", re.IGNORECASE)
EXAMPLES = sorted((DOCS / "examples").glob("*.py"))


@pytest.mark.parametrize("path", [*pages(), ROOT / "CONTRIBUTING.md", *EXAMPLES], ids=name)
def test_a_page_has_plain_words(path):
    lines = enumerate(path.read_text("utf8").splitlines(), 1)
    assert [f"{name(path)}:{number}: {line}" for number, line in lines if AVOIDED.search(line)] == []
