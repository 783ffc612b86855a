"""The table of docs/frameworks: each framework is driven as its users drive it, in an environment of its own.

CI runs the most used six, `make soak` all of them; elsewhere no framework is installed, and the tests look at the table
only. `PYTHONPATH=tests python -m support.frameworks` writes the table.
"""

from __future__ import annotations

import os
import re

import pytest
from support import LONG, SOAK
from support.doc_tables import part
from support.frameworks.table import COLUMNS, FRAMEWORKS, PAGE, head, row, rows, run


def test_the_table_has_each_framework_and_no_empty_cell():
    assert list(rows()) == list(FRAMEWORKS)
    assert head() in part(PAGE, "frameworks")[0]
    for line in rows().values():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert len(cells) == len(COLUMNS) + 1
        assert all(cells)
        assert [cell for cell in cells if "wrong" in cell or cell == "none:"] == []


def without_version(line: str) -> str:
    return re.sub(r"\) [\w.]+ \|", ") |", line)


MOST_USED = ("LangChain", "LlamaIndex", "LiteLLM", "Pydantic AI", "OpenAI Agents", "instructor")


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework(name):
    if not (SOAK or (os.environ.get("CI") and name in MOST_USED)):
        pytest.skip(LONG)
    result = run(name)
    print(row(name, result))  # noqa: T201
    assert {cell: each["note"] for cell, each in result["cells"].items() if each["outcome"] == "wrong"} == {}
    # a newer version may be installed here than the page's
    assert without_version(row(name, result)) == without_version(rows()[name])
