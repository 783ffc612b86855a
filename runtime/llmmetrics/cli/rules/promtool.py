"""Runs promtool, if it is installed: does a file load, which results are empty on the simulated traffic.

`promtool test rules` evaluates expressions on given series, without a server:
https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from llmmetrics.cli.output.findings import Finding, error, shown, warning
from llmmetrics.cli.rules.checking import Checked
from llmmetrics.cli.rules.queries import Query
from llmmetrics.cli.rules.selectors import CLOSED, is_variable
from llmmetrics.cli.rules.simulated import SAMPLES, series

SECONDS = 60

_COMMANDS: Mapping[str, Sequence[str]] = {
    "rules": ("check", "rules"),
    "config": ("check", "config", "--syntax-only"),
}

_COMPARISON = re.compile(
    r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|\#[^\n]*|\{(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^}"'])*\})"""
    r"|(>=|<=|==|!=|>|<)(\s*bool\b)?"
)

_MATCHER = re.compile(r"""(\w+)\s*(?:=~|!~|!=|=)\s*(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)\s*,?""")

_UNSURE = re.compile(r"\b(?:unless|absent|absent_over_time|offset)\b|@")
"""Operators whose result may be empty on an hour of good traffic."""

_EMPTY = re.compile(r'got: \{check="(\d+)"\}')
_REFUSED = re.compile(r'\\"check\\", \\"(\d+)\\".*?\berr: (.*)')


def installed() -> str | None:
    """Return the path of promtool; None if it is not installed."""
    return shutil.which("promtool")


def loads(program: str, kind: str, path: str) -> Iterator[Finding]:
    """Check whether Prometheus loads a file."""
    done = _run(program, *_COMMANDS[kind], path)
    if done.returncode:
        message = _output(done).partition("FAILED:")[2] or _output(done)
        yield error(f"promtool: {_line(message.replace(path, ''))}", "Prometheus does not load this file: correct it")


def evaluated(program: str, checked: Sequence[Checked]) -> Iterator[tuple[int, Finding]]:
    """Evaluate the queries without other findings; report errors and empty results."""
    queries = {number: each.query for number, each in enumerate(checked) if _may_be_asked(each)}
    if not queries:
        return
    with TemporaryDirectory() as directory:
        test = Path(directory) / "test.json"
        (Path(directory) / "rules.json").write_text(json.dumps(_rules(checked)), "utf8")
        # JSON is YAML
        test.write_text(json.dumps(_test(queries)), "utf8")
        done = _run(program, "test", "rules", str(test))
    output, unsure = _output(done), _unsure(checked)
    empty, refused = set(_EMPTY.findall(output)), dict(_REFUSED.findall(output))
    if done.returncode and not empty and not refused:
        yield (
            min(queries),
            warning(f"promtool could not evaluate the files: {_line(output)}", "run promtool check rules"),
        )
    for number, query in queries.items():
        if words := refused.get(str(number)):
            # series that do not match are already reported
            if "parse error" in words:
                yield (
                    number,
                    error(f"promtool: {_line(words)}", "correct the expression, or install a newer Prometheus"),
                )
        elif str(number) in empty and not unsure(query.expression):
            what = "the result is empty in Prometheus, on simulated traffic of every backend, scraped every 15 s"
            yield number, error(what, "check its ranges: rate() needs two scrapes in its range, so use [1m] or more")


def _unsure(checked: Iterable[Checked]) -> Callable[[str], bool]:
    """Return a test whether an expression may be empty, by its operators or by those of its recording rules."""
    names: set[str] = set()

    def unsure(expression: str) -> bool:
        return bool(_UNSURE.search(expression)) or any(name in expression for name in names)

    records = [each.query for each in checked if each.query.kind == "record"]
    while more := {each.name for each in records if each.name not in names and unsure(each.expression)}:
        names |= more
    return unsure


def _may_be_asked(each: Checked) -> bool:
    return not each.found and each.query.kind != "variable" and each.shape.series is not None and not each.shape.scalar


def _test(queries: Mapping[int, Query]) -> Mapping[str, object]:
    """Make promtool's test file: it names the number of each expression whose result is empty."""
    asks = {number: f"vector(0) unless on () (\n{_held(query.expression)}\n)" for number, query in queries.items()}
    tests = [
        {"expr": f'label_replace({ask}, "check", "{number}", "", "")', "eval_time": "1h"}
        for number, ask in asks.items()
    ]
    traffic = [{"series": _written(name, row), "values": _values(name)} for name in SAMPLES for row in _rows(name)]
    return {
        "rule_files": ["rules.json"],
        "evaluation_interval": "1m",
        "tests": [{"interval": "15s", "input_series": traffic, "promql_expr_test": tests}],
    }


def _rules(checked: Iterable[Checked]) -> Mapping[str, object]:
    records = [each.query for each in checked if each.query.kind == "record" and each.shape.series is not None]
    rules = [{"record": each.name, "expr": _held(each.expression), "labels": dict(each.labels)} for each in records]
    return {"groups": [{"name": "recorded", "rules": rules}] if rules else []}


def _held(expression: str) -> str:
    """Change an expression so that all comparisons hold, for any backend: thresholds are not tested."""

    def one(match: re.Match[str]) -> str:
        same: str = match[1]
        if not same:
            return f"{match[2]} bool"
        return _MATCHER.sub(_closed, same) if same.startswith("{") else same

    return _COMPARISON.sub(one, expression)


def _closed(matcher: re.Match[str]) -> str:
    if matcher[1] != "__name__" and (matcher[1] not in CLOSED or is_variable(matcher[0])):
        return ""
    return matcher[0]


def _rows(name: str) -> Iterator[Mapping[str, str]]:
    for row in sorted(map(sorted, series(name, frozenset()))):
        yield dict(row)


def _written(name: str, row: Mapping[str, str]) -> str:
    return f"{name}{{{','.join(f'{label}={json.dumps(value)}' for label, value in row.items())}}}"


def _values(name: str) -> str:
    return "1x240" if SAMPLES[name].type == "gauge" else "0+1x240"


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - promtool itself
            [program, *arguments], capture_output=True, encoding="utf8", errors="replace", timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return subprocess.CompletedProcess([program], 1, "", f"{type(exc).__name__}")


def _output(done: subprocess.CompletedProcess[str]) -> str:
    return f"{done.stdout}\n{done.stderr}"


def _line(text: str) -> str:
    return shown(" ".join(text.split()))[:300]
