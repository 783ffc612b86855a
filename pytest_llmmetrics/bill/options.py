"""Command-line and ini options of the bill and the gate. Imports only pytest, because every run loads it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from pytest_llmmetrics.bill.judging.limits import Rules

MODES = ("report", "warn", "block")
ACTS = ("create", "fix", "trim")
SUFFIXES = (".json", ".md", ".html")

MARKERS = (
    (
        "llm_limit(usd, calls, tokens, attempts, enforce): the limits of this test's LLM calls: a test that exceeds "
        "one fails; with enforce=True, calls past a limit are refused, too"
    ),
    "llm_ignore(*paths): values of its requests that the fingerprint and the tokens leave out, such as 'metadata.run'",
    (
        "llm_repeat(times=3, passing=times): run a test with real answers so often: it passes if that many runs pass, "
        "and its calls are those of the median run"
    ),
    "llm_budget(usd, calls, tokens): the old name of llm_limit, deprecated",
)

_FLAGS = (
    ("--llm-metrics", "meter every LLM call of the session and print the cost by test"),
    ("--llm-twice", "run each test twice, and name the values of its requests that change (with --llm-baseline)"),
    ("--llm-gate", "fail if the tests' LLM calls cost more than the committed baseline allows"),
)

# option, ini option, metavar, default, help
_VALUES = (
    ("--llm-top", "llm_top", "N", "10", "the number of tests in the summary"),
    ("--llm-baseline", None, "ACTS", "", "write the baseline: create, fix, trim, or several, separated by commas"),
    (
        "--llm-baseline-file",
        "llm_baseline_file",
        "PATH",
        "llm-costs.json",
        "the baseline file, relative to the root directory",
    ),
    (
        "--llm-prices",
        "llm_prices",
        "FILE",
        "",
        "a price file (docs/prices.md) for models that the catalogue does not know, relative to the root directory",
    ),
    ("--llm-gate-base", "llm_gate_base", "REV", "", "also compare with the baseline at the merge base with REV"),
    ("--llm-gate-mode", "llm_gate_mode", "MODE", "block", "the gate's strongest reaction: report, warn or block"),
    (
        "--llm-gate-accepted",
        "llm_gate_accepted",
        "MODE",
        "report",
        "the gate's strongest reaction to a change that the branch has written into the baseline",
    ),
    (
        "--llm-gate-inconclusive",
        "llm_gate_inconclusive",
        "MODE",
        "block",
        "the gate's strongest reaction if it cannot compare, such as without a baseline",
    ),
)

_LISTS = (
    ("--llm-report", None, "PATH", "write a report: .json, .md or .html; may be given several times"),
    (
        "--llm-limit",
        "llm_limits",
        "LIMIT",
        "by how much a test may exceed the baseline, such as 'cost 5%% 0.0001'; may be given several times",
    ),
    (
        "--llm-limit-new",
        "llm_limits_new",
        "LIMIT",
        "the most that a test may use which is not in the baseline, such as 'cost 0.01'; may be given several times",
    ),
)

_MAX_USD = "what all calls of the session may cost together: calls that could pass it are refused"

_IGNORE = "values of requests that change from run to run, such as 'metadata.run': the gate does not compare them"


_JUDGES = ("--llm-gate",)
_JUDGES_OR_WRITES = ("--llm-gate", "--llm-baseline")
_METERS = ("--llm-metrics", "--llm-gate", "--llm-baseline", "--llm-report")
_NEEDS = {
    "--llm-twice": ("--llm-baseline",),
    "--llm-top": _METERS,
    "--llm-baseline-file": _JUDGES_OR_WRITES,
    "--llm-prices": (*_METERS, "--llm-max-usd"),
    "--llm-gate-base": _JUDGES,
    "--llm-gate-mode": _JUDGES,
    "--llm-gate-accepted": _JUDGES,
    "--llm-gate-inconclusive": _JUDGES_OR_WRITES,
    "--llm-limit": _JUDGES,
    "--llm-limit-new": _JUDGES,
}
"""Options that have no effect without one of these."""


class Options(NamedTuple):
    """The options of a session."""

    metrics: bool
    top: int
    reports: tuple[Path, ...]
    acts: frozenset[str]
    baseline: Path
    gate: bool
    gate_base: str
    rules: Rules
    ignored: tuple[str, ...] = ()
    """Paths of values in requests that are not compared."""
    prices: str = ""
    """The path of a price file; empty: none."""
    twice: bool = False
    """Whether each test runs twice."""


def add(parser: pytest.Parser) -> None:
    """Add the options to pytest's."""
    group = parser.getgroup("llm", "LLM calls")
    for option, what in _FLAGS:
        group.addoption(option, action="store_true", default=False, help=what)
    for option, ini, metavar, default, what in _VALUES:
        if ini:
            parser.addini(ini, what, default=default)
        group.addoption(option, metavar=metavar, default=None, help=f"{what} (default: {default})" if default else what)
    group.addoption("--llm-max-usd", metavar="USD", default=None, help=_MAX_USD)
    for option, ini, metavar, what in _LISTS:
        if ini:
            parser.addini(ini, what.replace("%%", "%"), type="linelist", default=[])
        group.addoption(option, action="append", metavar=metavar, default=None, help=what)
    parser.addini("llm_ignore", _IGNORE, type="linelist", default=[])


def wanted(config: pytest.Config) -> bool:
    """Tell whether this session is metered."""
    return _any(config, _METERS)


def given(config: pytest.Config) -> bool:
    """Tell whether the command line has an option that only works in a metered session."""
    return any(_is_given(config, option) for option, *_ in (*_FLAGS, *_VALUES, *_LISTS))


def price_file(config: pytest.Config) -> str | None:
    """Return the path of the session's price file, if it has one."""
    name = config.getoption("llm_prices", None) or config.getini("llm_prices")
    return str(config.rootpath / name) if name else None


def read(config: pytest.Config) -> Options:
    """Read the options. Raises `pytest.UsageError`."""
    from pytest_llmmetrics.bill.judging.limits import LimitError, Rules, ceiling_of, limits_of

    _require_values(config)
    values: dict[str, Any] = {}
    for option, ini, _, default, _ in _VALUES:
        value = config.getoption(_dest(option), None)
        values[option] = value if value is not None else config.getini(ini) if ini else default
    try:
        limits = limits_of(config.getini("llm_limits"), config.getoption("llm_limit", None) or ())
        new = (*config.getini("llm_limits_new"), *(config.getoption("llm_limit_new", None) or ()))
        ceilings = [ceiling_of(each) for each in new if each.strip()]
    except LimitError as exc:
        raise pytest.UsageError(f"{exc} (in llm_limits, llm_limits_new, --llm-limit or --llm-limit-new)") from None
    for name in ("--llm-gate-mode", "--llm-gate-accepted", "--llm-gate-inconclusive"):
        if values[name] not in MODES:
            raise pytest.UsageError(f"{name}={values[name]}: there are {', '.join(MODES)}")
    acts = frozenset(filter(None, values["--llm-baseline"].split(",")))
    if unknown := acts - set(ACTS):
        raise pytest.UsageError(f"--llm-baseline={','.join(sorted(unknown))}: there are {', '.join(ACTS)}")
    if not values["--llm-top"].isdecimal():
        raise pytest.UsageError(f"--llm-top={values['--llm-top']}: write the number of tests to list, such as 10")
    _require_company(config)
    root = config.invocation_params.dir
    reports = tuple(root / path for path in config.getoption("llm_report", None) or ())
    for path in reports:
        if path.suffix not in SUFFIXES:
            raise pytest.UsageError(f"--llm-report={path.name}: the suffix is the format: {', '.join(SUFFIXES)}")
    return Options(
        config.getoption("llm_metrics", default=False),
        int(values["--llm-top"]),
        reports,
        acts,
        config.rootpath / values["--llm-baseline-file"],
        config.getoption("llm_gate", default=False),
        values["--llm-gate-base"],
        Rules(
            limits,
            values["--llm-gate-mode"],
            values["--llm-gate-accepted"],
            values["--llm-gate-inconclusive"],
            ceilings,
        ),
        tuple(filter(None, map(str.strip, config.getini("llm_ignore")))),
        price_file(config) or "",
        config.getoption("llm_twice", default=False),
    )


def _require_values(config: pytest.Config) -> None:
    """An empty value is a shell variable that is not set: without the option, the gate would compare less, unseen."""
    for option, _, metavar, *_ in (*_VALUES, *_LISTS):
        value = config.getoption(_dest(option), None)
        if "" in ([value] if isinstance(value, str) else value or ()):
            raise pytest.UsageError(f"{option}= is empty: write {option}={metavar} as --help says, or remove it")


def _require_company(config: pytest.Config) -> None:
    for option, needs in _NEEDS.items():
        if _is_given(config, option) and not _any(config, needs):
            hint = ". To limit one test, use @pytest.mark.llm_limit" if option == "--llm-limit" else ""
            raise pytest.UsageError(
                f"{option} has no effect without {' or '.join(needs)}: add one, or remove {option}{hint}"
            )


def _is_given(config: pytest.Config, option: str) -> bool:
    return config.getoption(_dest(option), None) not in (None, False)


def _any(config: pytest.Config, options: tuple[str, ...]) -> bool:
    return any(config.getoption(_dest(option), None) for option in options)


def _dest(option: str) -> str:
    return option[2:].replace("-", "_")
