"""Parses both text formats of `/metrics`, with the names and line numbers that a scraper sees.

prometheus-client's own parsers rename the sample of `llm_estimated_cost_usd`, or reject it.
https://prometheus.io/docs/instrumenting/exposition_formats, https://prometheus.io/docs/specs/om/open_metrics_spec.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

Labels = tuple[tuple[str, str], ...]
"""Labels sorted by name; they identify a series."""

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_TEXT = r'"((?:[^"\\\n]|\\.)*)"'
_COMMENT = re.compile(rf"# (HELP|TYPE|UNIT) ({_NAME}|{_TEXT})(?: (.*))?")
_SAMPLE = re.compile(rf"({_NAME})?[ \t]*(?=[{{ \t])")
_QUOTED_NAME = re.compile(rf"[ \t]*{_TEXT}[ \t]*(?:,|(?=\}}))")
_LABEL = re.compile(rf"[ \t]*(?:([a-zA-Z_][a-zA-Z0-9_]*)|{_TEXT})[ \t]*=[ \t]*{_TEXT}[ \t]*(?:,|(?=\}}))")
_END = re.compile(r"[ \t]*\}")
# a value, an optional time, and in OpenMetrics an optional exemplar
_REST = re.compile(r"[ \t]*(\S+)(?:[ \t]+(-?[0-9][0-9.eE+-]*))?[ \t]*( # \{.*\} \S+(?: \S+)?)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?inf(?:inity)?|nan", re.IGNORECASE)
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


class Sample(NamedTuple):
    """One line with a value."""

    name: str
    labels: Labels
    value: float
    line: int

    def __str__(self) -> str:
        labels = ",".join(f'{name}="{value}"' for name, value in self.labels)
        return f"{self.name}{{{labels}}}" if labels else self.name


class Said(NamedTuple):
    """The content of a HELP or TYPE line."""

    text: str
    line: int


class Problem(NamedTuple):
    """A line that the format does not allow."""

    line: int
    what: str


@dataclass
class Page:
    """The result of one scrape. The keys of `types` and `helps` are the names on their lines."""

    openmetrics: bool = False
    types: dict[str, Said] = field(default_factory=dict)
    helps: dict[str, Said] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def format(self) -> str:
        """The name of the format."""
        return "OpenMetrics" if self.openmetrics else "classic"


def parse(body: bytes, *, openmetrics: bool) -> Page:
    """Parse a page. Lines that the format does not allow go to the page's `problems`; nothing is raised."""
    page = Page(openmetrics)
    try:
        text = body.decode("utf8")
    except UnicodeDecodeError as exc:
        page.problems.append(Problem(body.count(b"\n", 0, exc.start) + 1, "it is not UTF-8"))
        text = body.decode("utf8", "replace")
    lines = text.split("\n")
    if lines.pop() != "":
        page.problems.append(Problem(len(lines) + 1, "the last line has no newline: the page may be cut"))
    if openmetrics:
        _until_eof(page, lines)
    for number, line in enumerate(lines, 1):
        if line.startswith("#"):
            _comment(page, number, line)
        elif line.strip():
            _sample(page, number, line)
        elif openmetrics:
            page.problems.append(Problem(number, "OpenMetrics allows no empty line"))
    return page


def _until_eof(page: Page, lines: list[str]) -> None:
    """Remove the end mark, which OpenMetrics requires."""
    if "# EOF" not in lines:
        page.problems.append(Problem(len(lines), "the # EOF at the end is missing: the page may be cut"))
        return
    at = lines.index("# EOF")
    if lines[at + 1 :]:
        page.problems.append(Problem(at + 2, "there is text after # EOF"))
    del lines[at:]


def _comment(page: Page, number: int, line: str) -> None:
    match = _COMMENT.fullmatch(line)
    if match is None:
        # any other comment is ignored
        if line.startswith(("# HELP", "# TYPE")):
            page.problems.append(Problem(number, f"{line[:80]!r} does not name a metric"))
        return
    kind, name, quoted, text = match.groups()
    lines_of: Mapping[str, dict[str, Said]] = {"HELP": page.helps, "TYPE": page.types}
    if kind in lines_of:
        name = name if quoted is None else _plain(quoted)
        if name in lines_of[kind]:
            page.problems.append(Problem(number, f"a second {kind} line for {name}"))
        lines_of[kind].setdefault(name, Said(text or "", number))


def _sample(page: Page, number: int, line: str) -> None:
    start = _SAMPLE.match(line)
    if start is None:
        page.problems.append(Problem(number, f"{line[:80]!r} is not a sample"))
        return
    name, at = start[1] or "", start.end()
    labels: list[tuple[str, str]] = []
    if line[at : at + 1] == "{":
        at += 1
        if not name and (quoted := _QUOTED_NAME.match(line, at)):
            name, at = _plain(quoted[1]), quoted.end()
        while label := _LABEL.match(line, at):
            bare, quoted_name, value = label.groups()
            labels.append((bare or _plain(quoted_name), _plain(value)))
            at = label.end()
        end = _END.match(line, at)
        if end is None:
            page.problems.append(Problem(number, f"the labels of {name or 'a sample'} cannot be read"))
            return
        at = end.end()
    rest = _REST.fullmatch(line, at)
    if rest is None or not _NUMBER.fullmatch(rest[1]) or (rest[3] and not page.openmetrics) or not name:
        page.problems.append(Problem(number, f"the value of {name or 'a sample'} cannot be read"))
        return
    if len(dict(labels)) < len(labels):
        page.problems.append(Problem(number, f"{name} has the same label twice"))
    page.samples.append(Sample(name, tuple(sorted(labels)), float(rest[1]), number))


def _plain(text: str) -> str:
    return re.sub(r"\\.", lambda match: _ESCAPES.get(match[0], match[0]), text) if "\\" in text else text
