"""The tables of the pages follow the tables and enums of the code."""

from __future__ import annotations

import os

import pytest
from support.doc_tables import NAMED, TABLES, missing, part, write


@pytest.mark.parametrize(("page", "name"), TABLES)
def test_a_table_is_what_the_code_says(page, name):
    made = TABLES[page, name]()
    if os.environ.get("UPDATE_DOCS"):
        write(page, name, made)
    assert part(page, name)[0] == made, f"docs/{page} differs from the code: set UPDATE_DOCS=1 to write it again"


@pytest.mark.parametrize(("page", "heading"), NAMED)
def test_a_section_names_each_value(page, heading):
    absent = missing(page, heading, NAMED[page, heading])
    assert not absent, (
        f"docs/{page}, section {heading!r}, does not name {', '.join(absent)}: add a line for each. docs/api.md is made: "
        "add it to the docstring that the section is made of, then run tests/docs/test_reference.py with UPDATE_DOCS=1"
    )


def test_a_value_that_a_section_lacks_is_named():
    assert missing("budgets.md", "Modes", ["`strict`", "`lenient`"]) == ["`lenient`"]
