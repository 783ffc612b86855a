"""Makes the reference pages from the code: commands and options, and the Python API."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import Any

import griffe

import llmmetrics.testing
import pytest_llmmetrics.bill.options as bill
from llmmetrics.cli import main
from llmmetrics.cli.output.findings import EXITS
from pytest_llmmetrics import __main__ as gate
from pytest_llmmetrics import options as plugin
from support.documentation import ROOT

MADE = "<!-- Made of the code: UPDATE_DOCS=1 python -m pytest tests/docs/test_reference.py writes it again. -->\n"


def options() -> str:
    """Make the page of commands and options."""
    return "\n".join(
        [
            "# Commands and options",
            "",
            MADE,
            "What `--help` says, in one place. `llmmetrics` comes with the runtime, `llmmetrics-gate` and the options of",
            "pytest with the plugin.",
            "",
            *_commands(main.parser(), "##"),
            *_exits(),
            *_commands(gate.parser(), "##"),
            *_pytest(),
        ]
    )


def _commands(parser: argparse.ArgumentParser, level: str) -> Iterator[str]:
    inner = next((each for each in parser._actions if isinstance(each, argparse._SubParsersAction)), None)
    rows = [_argument(each) for each in parser._actions if each is not inner and each.dest != "help"]
    yield from (f"{level} `{parser.prog}`", "", _sentence(parser.description or ""), "")
    if rows:
        yield from ("| | |", "|---|---|", *rows, "")
    for each in inner.choices.values() if inner else ():
        yield from _commands(each, f"{level}#" if len(level) < 4 else level)


def _exits() -> Iterator[str]:
    looking = ", ".join(f"`llmmetrics {each}`" for each in ("check", "doctor", "verify", "rules check"))
    yield from ("### Exit statuses", "", f"Of {looking}:", "", "| | |", "|---|---|")
    yield from (_row(str(status.value), when) for status, when in EXITS.items())
    yield from (
        "",
        "A file that cannot be read, an address that does not answer, a wrong option: the check cannot run.",
        "",
    )


def _argument(action: argparse.Action) -> str:
    value = action.metavar or ("|".join(action.choices) if action.choices else action.dest.upper())
    if not action.option_strings:
        name = f"[{value}]" if action.nargs == "?" else f"{value} …" if action.nargs == "+" else str(value)
    else:
        name = ", ".join(action.option_strings) + ("" if action.nargs == 0 else f" {value}")
    return _row(name, (action.help or "") % {"default": action.default})


class _Asked:
    """Replaces pytest's parser, and records the options."""

    def __init__(self) -> None:
        self.options: list[tuple[str, dict[str, Any]]] = []
        self.ini: dict[str, str] = {}

    def getgroup(self, *_: str) -> _Asked:
        return self

    def addoption(self, name: str, **given: Any) -> None:
        self.options.append((name, given))

    def addini(self, name: str, help: str, **_: Any) -> None:
        self.ini[name] = help


def _pytest() -> Iterator[str]:
    asked = _Asked()
    for each in (plugin, bill):
        each.add(asked)  # type: ignore[arg-type]
    yield from ("## `pytest`", "", "| option | |", "|---|---|")
    for name, given in asked.options:
        value = given.get("metavar") or "|".join(given.get("choices", ()))
        yield _row(f"{name} {value}".strip(), given["help"].replace("%%", "%"))
    yield from ("", "In `[tool.pytest]`, as strings:", "", "| setting | |", "|---|---|")
    for name, help in asked.ini.items():
        yield _row(name, help)
    yield from ("", "Markers:", "", "| marker | |", "|---|---|")
    for text in (*plugin.MARKERS, *bill.MARKERS):
        name, _, help = text.partition(": ")
        yield _row(name, help)
    yield ""


def _row(name: str, text: str) -> str:
    return "| `{}` | {} |".format(name.replace("|", "\\|"), _sentence(text).replace("|", "\\|"))


def _sentence(text: str) -> str:
    # options become code: Markdown would join the two dashes
    return re.sub(r"(?<![`\w-])(--[\w-]+)", r"`\1`", " ".join(text.split()))


PACKAGES = (
    ("llmmetrics", "What an application holds."),
    (
        "llmmetrics.testing",
        "The simulated provider, and what else a test of metered code needs; it knows no test framework.",
    ),
    ("pytest_llmmetrics", "The types of the plugin's fixtures, for annotations, and `usd`."),
)


EVERY = {*llmmetrics.__all__, *llmmetrics.testing.__all__}


def api() -> str:
    """Make the page of the Python API."""
    code = griffe.GriffeLoader(search_paths=[str(ROOT / "runtime"), str(ROOT)])
    for package in ("llmmetrics", "pytest_llmmetrics"):
        code.load(package)
    code.resolve_aliases(external=False)
    lines = ["# Python", "", MADE, "The public names of the packages, as their docstrings tell them."]
    for package, about in PACKAGES:
        module = code.modules_collection[package]
        names = [str(name) for name in module.exports or ()]
        again = [name for name in names if f"### `{name}`" in lines]
        told = " and ".join(f"[`{name}`](#{name.lower()})" for name in again)
        lines += [
            "",
            f"## `{package}`",
            "",
            f"{about} {told} {'is that' if len(again) == 1 else 'are those'} above." if again else about,
        ]
        for name in names:
            lines += () if name in again else _named(name, module[name])
    return "\n".join([*lines, "", *_fixtures(code.modules_collection["pytest_llmmetrics.fixtures"])])


def _named(name: str, found: Any) -> Iterator[str]:
    while found.is_alias:
        found = found.final_target
    if found.is_module and name in found.members:
        found = found[name]  # a module that its own function hides
    yield from ("", f"### `{name}`", "")
    if found.is_function:
        yield from (f"`def {found.signature()}`", "")
    if found.is_class and found.parameters:
        yield from (f"`class {name}({_parameters(found)})`", "")
    yield found.docstring.value if found.docstring else ""
    if found.is_class:
        yield from _members(found)


def _parameters(found: Any) -> str:
    shown = []
    for each in found.parameters:
        if each.name == "self":
            continue
        if each.kind is griffe.ParameterKind.keyword_only and "*" not in shown:
            shown.append("*")
        default = "" if each.default is None else f" = {each.default}"
        shown.append(f"{each.name}: {each.annotation}{default}")
    return ", ".join(shown)


def _members(found: Any) -> Iterator[str]:
    if ours := [str(each).rpartition(".")[2] for each in found.bases if str(each).rpartition(".")[2] in EVERY]:
        yield from ("", "It has what {} has.".format(" and ".join(f"[`{each}`](#{each.lower()})" for each in ours)))
    public = [each for name, each in found.members.items() if not name.startswith("_") and name != "model_config"]
    public.sort(key=lambda each: each.lineno or 0)
    fields = [each for each in public if each.is_attribute]
    if fields:
        yield from ("", "| | | |", "|---|---|---|")
    for each in fields:
        kind = each.annotation or (each.value if str(each.value).startswith("'") else "")
        told = " ".join((each.docstring.value if each.docstring else "").split())
        yield "| `{}` | {} | {} |".format(each.name, f"`{kind}`".replace("|", "\\|") if kind else "", told)
    for each in public:
        if each.is_function:
            yield from ("", f"**`{each.signature()}`**", "", each.docstring.value if each.docstring else "")


def _fixtures(module: griffe.Module) -> Iterator[str]:
    yield from ("## Fixtures", "", "[Testing](testing.md) shows what they do.", "", "| fixture | |", "|---|---|")
    for name, each in module.members.items():
        if not each.is_alias and each.is_function and any("fixture" in str(by.value) for by in each.decorators):
            yield f"| `{name}` | {' '.join(each.docstring.value.split())} |"
    yield ""
