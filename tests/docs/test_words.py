"""The pages are in plain English: some words are not used. What is made of the code has the code's words."""

from __future__ import annotations

import re

import pytest
from support.documentation import DOCS, ROOT, name, pages

MADE = {"docs/api.md", "docs/options.md", "docs/gate-comments.md"}
AVOIDED = re.compile(r"\b(nobody|whoever|whom|anew|beside|for ever)\b", re.IGNORECASE)
EXAMPLES = sorted((DOCS / "examples").glob("*.py"))


@pytest.mark.parametrize("path", [*pages(), ROOT / "CONTRIBUTING.md", *EXAMPLES], ids=name)
def test_a_page_has_plain_words(path):
    if name(path) not in MADE:
        lines = enumerate(path.read_text("utf8").splitlines(), 1)
        assert [f"{name(path)}:{number}: {line}" for number, line in lines if AVOIDED.search(line)] == []
