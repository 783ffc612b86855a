"""What the packages import, their own pyproject.toml declares: what only this environment has, no user has."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import NamedTuple

import pytest
from support.documentation import ROOT

PACKAGES = {"llmmetrics": ROOT / "runtime", "pytest_llmmetrics": ROOT}

BEHIND = {
    "cli": ("cli/demo/", "cli/top/", "cli/rules/"),
    "redis": tuple(f"budgets/ledgers/redis_{each}.py" for each in ("clients", "packing", "servers")),
}
"""The runtime's modules that need an extra: what imports them says so where it is not there."""

OTHERS = {
    "aiohttp": "an application that sends through it has it: imported when that is",
    "botocore": "an application that calls Bedrock has it: imported when that is",
    "multidict": "comes with aiohttp",
    "openai": "the demo calls through it where it is there",
    "urllib3": "comes with botocore and requests",
    "websockets": "an application with WebSockets has it: imported when that is",
}
"""What is imported in functions and not declared, with the reason."""

PARTS = {"pydantic_core": "pydantic"}
"""What comes with another distribution, in the one version that fits it."""


class Import(NamedTuple):
    """A distribution's module that is imported."""

    name: str
    file: str
    line: int
    lazy: bool
    """Inside a function, or where it may fail."""


@cache
def imports(directory: Path) -> tuple[Import, ...]:
    """Each import of what is neither Python's own nor the package's."""
    return tuple(_imports(directory))


def _imports(directory: Path) -> Iterator[Import]:
    for path in sorted(directory.rglob("*.py")):
        file = path.relative_to(directory).as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf8"))):
            match node:
                case ast.Import(names=names):
                    found = [each.name for each in names]
                case ast.ImportFrom(module=str(name), level=0):
                    found = [name]
                case ast.Call(func=ast.Name(id="import_module"), args=[ast.Constant(value=str(name)), *_]):
                    found = [name]
                case _:
                    continue
            for each in found:
                top = each.partition(".")[0]
                if top not in sys.stdlib_module_names and top != directory.name:
                    yield Import(top, file, node.lineno, node.col_offset > 0)


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    return {plain(re.match(r"[\w.-]+", each)[0]) for each in requirements}


@cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()


def undeclared(package: str, project: dict) -> list[str]:
    """A line for each import that this project does not declare."""
    needed = names(project["dependencies"])
    extras = {name: names(each) for name, each in project.get("optional-dependencies", {}).items() if name != "dev"}
    found = []
    for each in imports(PACKAGES[package] / package):
        name = PARTS.get(each.name, each.name)
        distribution = plain(_distributions().get(name, [name])[0])
        having = [extra for extra, has in extras.items() if distribution in has]
        behind = any(each.file.startswith(BEHIND.get(extra, ())) for extra in having)
        if distribution not in needed and not behind and not (each.lazy and (having or each.name in OTHERS)):
            found.append(f"{package}/{each.file}:{each.line} imports {each.name}: {distribution} is not declared")
    return found


def project(package: str) -> dict:
    return tomllib.loads((PACKAGES[package] / "pyproject.toml").read_text("utf8"))["project"]


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_imported_is_declared(package):
    assert undeclared(package, project(package)) == []


@pytest.mark.parametrize(
    ("package", "distribution"),
    [
        *(("pytest_llmmetrics", each) for each in ("httpx", "llmmetrics", "prometheus-client", "pydantic", "pytest")),
        *(("pytest_llmmetrics", each) for each in ("pytest-httpx2", "pyyaml", "respx", "time-machine", "vcrpy")),
        *(("llmmetrics", each) for each in ("anyio", "genai-prices", "httpx", "httpx2", "platformdirs")),
        *(("llmmetrics", each) for each in ("prometheus-client", "pydantic", "rich", "promql-parser", "redis")),
    ],
)
def test_what_is_not_declared_is_noticed(package, distribution):
    has = project(package)

    def without(requirements):
        return [each for each in requirements if names([each]) != {distribution}]

    less = {
        "dependencies": without(has["dependencies"]),
        "optional-dependencies": {key: without(each) for key, each in has["optional-dependencies"].items()},
    }
    assert less != {key: has[key] for key in less}
    found = undeclared(package, less)
    assert found
    assert all(each.endswith(f"{distribution} is not declared") for each in found)


def test_what_is_allowed_is_imported():
    found = {each.name for package, place in PACKAGES.items() for each in imports(place / package)}
    assert set(OTHERS) <= found
