"""The reference pages agree with the code."""

from __future__ import annotations

import os

import pytest
from support import reference
from support.documentation import DOCS


@pytest.mark.parametrize("name", ["options", "api"])
def test_a_page_is_what_the_code_says(name):
    path, text = DOCS / f"{name}.md", getattr(reference, name)()
    if os.environ.get("UPDATE_DOCS"):
        path.write_text(text, "utf8")
    assert path.read_text("utf8") == text, "set UPDATE_DOCS=1 to write it again"


def test_every_public_name_is_told_of():
    import llmmetrics
    import llmmetrics.testing
    import pytest_llmmetrics

    text = (DOCS / "api.md").read_text("utf8")
    for package in (llmmetrics, llmmetrics.testing, pytest_llmmetrics):
        for name in package.__all__:
            _, _, told = text.partition(f"### `{name}`\n\n")
            assert told, name
            assert not told.startswith("#"), f"{name} has no docstring"
