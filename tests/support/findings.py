"""What the doctor's tests ask of its findings."""

from __future__ import annotations

from llmmetrics.cli.output.findings import Finding


def only(findings) -> Finding:
    (finding,) = findings
    return finding


def about(findings, text: str) -> Finding:
    """The one line that says this."""
    return only(each for each in findings if text in str(each))
