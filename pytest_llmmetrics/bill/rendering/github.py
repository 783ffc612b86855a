"""Output for a GitHub workflow: the job's summary, and an annotation for each finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from pytest_llmmetrics.bill.judging.verdict import Verdict
from pytest_llmmetrics.bill.rendering.texts import visible

_LEVELS = {"regression": "error", "warning": "warning", "unmeasured": "warning", "accepted": "notice"}


def summarise(environ: Mapping[str, str], text: str) -> None:
    """Add text to the job's summary. A write error is ignored."""
    if path := environ.get("GITHUB_STEP_SUMMARY"):
        with suppress(OSError), Path(path).open("a", encoding="utf8") as out:
            out.write(text)


def commands(environ: Mapping[str, str], verdict: Verdict) -> Iterable[str]:
    """Yield the workflow commands that annotate a pull request, one per line."""
    if environ.get("GITHUB_ACTIONS") != "true":
        return
    for change in (*verdict.changes, verdict.total):
        if (level := _LEVELS.get(change.state)) and (change.causes or change.reached):
            text = "; ".join(change.causes) or f"all tests together: {', '.join(change.reached)}"
            yield _command(level, change.test, f"LLM cost: {change.state}", text)
    for reason in verdict.inconclusive:
        yield _command("warning", reason.test, "LLM cost: inconclusive", reason.what)


def _command(level: str, test: str, title: str, text: str) -> str:
    file = test.partition("::")[0]
    where = f"file={_property(file)}," if file else ""
    message = f"{test}: {text}" if test else text
    return f"::{level} {where}title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return visible(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
