"""The tables of the pages follow the tables and enums of the code."""

from __future__ import annotations

import os

import pytest
from support.doc_tables import TABLES, part, write


@pytest.mark.parametrize(("page", "name"), TABLES)
def test_a_table_is_what_the_code_says(page, name):
    made = TABLES[page, name]()
    if os.environ.get("UPDATE_DOCS"):
        write(page, name, made)
    assert part(page, name)[0] == made, f"docs/{page} differs from the code: set UPDATE_DOCS=1 to write it again"
