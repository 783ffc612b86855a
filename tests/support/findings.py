"""Helpers for the findings of the doctor."""

from __future__ import annotations

from llmmetrics.cli.output.findings import Finding


def only(findings) -> Finding:
    (finding,) = findings
    return finding


def about(findings, text: str) -> Finding:
    """Return the one line that contains this text."""
    return only(each for each in findings if text in str(each))
