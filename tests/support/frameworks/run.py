"""Runs a framework's cells inside its environment, and prints them as JSON.

Records the cassette first, from a simulated provider that is gone when it is replayed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from importlib import import_module, metadata
from pathlib import Path

import pytest

from llmmetrics.testing import Answer, serve

CELLS = Path(__file__).with_name("cells.py")


class Results:
    """A pytest plugin that keeps what each cell's test said."""

    def __init__(self) -> None:
        self.cells: dict[str, dict[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.partition("::test_")[2].partition("[")[0]
        if report.when == "call" and report.passed:
            notes = dict(report.user_properties)
            self.cells.setdefault(name, {"outcome": "exact", "note": str(notes.get("note", ""))})
        elif report.skipped:
            self.cells[name] = {"outcome": "none", "note": str(report.longrepr[2]).removeprefix("Skipped: ")}
        elif report.failed:
            self.cells[name] = {"outcome": "wrong", "note": report.longreprtext[-1500:]}


def cells(*options: str) -> dict[str, dict[str, str]]:
    """Run the cells' tests; return each cell's outcome (exact, none or wrong) and note."""
    results = Results()
    fixed = ["-q", "-c", os.devnull, "--rootdir", str(Path.cwd()), "-p", "no:cacheprovider", "--noconftest"]
    pytest.main([*fixed, "-W", "ignore", "--tb=short", *options], plugins=[results])
    return results.cells


def main(driver: str, distribution: str) -> None:
    """Print the framework's version and its cells."""
    os.environ.update(FRAMEWORK=driver, OPENAI_API_KEY="sk-nobodys-key")
    text = import_module(f"support.frameworks.drivers.{driver}").TEXT
    with serve(Answer(text=text, prompt_tokens=120, completion_tokens=30)) as provider:
        os.environ["FRAMEWORK_URL"] = f"{provider.url}/v1"
        recorded = cells("--llm-record=once", f"{CELLS}::test_cassette")
    made = {**cells(str(CELLS)), "recording": recorded["cassette"]}
    sys.stdout.write(json.dumps({"version": metadata.version(distribution), "cells": made}) + "\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        main(*sys.argv[1:])
