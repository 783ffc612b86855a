"""A small runner for GitHub workflows: runs the shell of each step, and replacements for other people's actions."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from support import UNUSED, without
from support.servers import program

STEP = {"id", "if", "name", "uses", "with", "run", "shell", "env"}
"""The keys of a step that this runner supports."""

PLUGINS = ("anyio", "asyncio", "pytest_cov", "pytest_httpx", "rerunfailures", "respx", "time_machine", "xdist")
"""Installed plugins that no step of a workflow uses."""

TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|([A-Za-z_][\w.-]*)|(&&|\|\||==|!=|[!(),]))")
WORDS = {"&&": " and ", "||": " or ", "!": " not "}
SHELLS = {
    "bash": ("--noprofile", "--norc", "-eo", "pipefail", "-c"),
    None: ("-e", "-c"),
}
"""The arguments of bash for each value of `shell`."""


def load(text: str) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true
    return {("on" if key is True else key): value for key, value in yaml.safe_load(text).items()}


class StepError(Exception):
    """A failed step."""


Stub = Callable[["Runner", dict[str, str], dict[str, str]], None]
"""A replacement for an action; its arguments are the runner, the inputs and the environment."""


@dataclass
class Runner:
    """The machine of one job."""

    stubs: Mapping[str, Stub]
    """Replacements by the action's name, without version."""
    actions: Mapping[str, Path]
    """The composite actions to run, by the end of `uses`."""
    github: dict[str, Any]
    workspace: Path
    temp: Path
    environ: dict[str, str]
    code: int = 0
    """The exit code of the last failed shell."""
    log: str = ""
    failed: bool = False
    _files: int = field(default=0, repr=False)

    @property
    def summary(self) -> Path:
        return self.temp / "summary.md"

    def run(self, job: dict[str, Any]) -> Runner:
        """Run a job as GitHub does."""
        self.workspace.mkdir(parents=True, exist_ok=True)
        self.temp.mkdir(parents=True, exist_ok=True)
        context = {"github": self.github, "runner": {"temp": str(self.temp)}}
        if self._true(job.get("if", "true"), context):
            self._steps(job["steps"], context)
        return self

    def _steps(self, steps: list[dict[str, Any]], context: dict[str, Any]) -> dict[str, Any]:
        context = {**context, "steps": {}}
        for step in steps:
            assert set(step) <= STEP, f"this runner does not know {set(step) - STEP}"
            condition = str(step.get("if", "success()"))
            if not re.search(r"\b(always|failure|success)\(\)", condition):
                condition = f"success() && ({condition})"
            if self._true(condition, context):
                try:
                    outputs = self._step(step, context)
                except StepError as exc:
                    self.failed = True
                    self.log += f"{exc.args[0]}\n"
                    outputs = exc.args[1] if len(exc.args) > 1 else {}
                context["steps"][step.get("id", "")] = {"outputs": outputs}
        return context

    def _step(self, step: dict[str, Any], context: dict[str, Any]) -> dict[str, str]:
        env = {key: self.text(value, context) for key, value in step.get("env", {}).items()}
        if "run" in step:
            return self._shell(step, env)
        given = {key: self.text(value, context) for key, value in step.get("with", {}).items()}
        name = step["uses"].partition("@")[0]
        for end, path in self.actions.items():
            if name.endswith(end):
                action = load(path.read_text("utf8"))
                assert given.keys() <= action["inputs"].keys()
                inputs = {key: each.get("default", "") for key, each in action["inputs"].items()} | given
                inside = self._steps(action["runs"]["steps"], {**context, "inputs": inputs})
                return {key: self.text(each["value"], inside) for key, each in action.get("outputs", {}).items()}
        self.stubs[name](self, given, env)
        return {}

    def _shell(self, step: dict[str, Any], env: dict[str, str]) -> dict[str, str]:
        self._files += 1
        output = self.temp / f"output-{self._files}"
        output.touch()
        places = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "RUNNER_TEMP": str(self.temp),
        }
        done = subprocess.run(
            [program("bash", "bash"), *SHELLS[step.get("shell")], step["run"]],
            cwd=self.workspace,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env={**self.environ, **places, **env},
        )
        self.log += done.stdout
        outputs = dict(line.split("=", 1) for line in output.read_text("utf8").splitlines())
        if done.returncode:
            self.code = done.returncode
            raise StepError(f"exit code {done.returncode}", outputs)
        return outputs

    # expressions

    def text(self, value: object, context: dict[str, Any]) -> str:
        """Replace each `${{ … }}` in a value."""
        if isinstance(value, bool):
            return str(value).lower()
        return re.sub(r"\$\{\{(.*?)\}\}", lambda found: str(self._value(found[1], context)), str(value))

    def _true(self, condition: object, context: dict[str, Any]) -> bool:
        return bool(self._value(str(condition), context))

    def _value(self, expression: str, context: dict[str, Any]) -> object:
        at, python = 0, []
        while at < len(expression.rstrip()):
            found = TOKEN.match(expression, at)
            assert found, f"this runner cannot read {expression}"
            text, name, sign = found.groups()
            at = found.end()
            if text is not None:
                python.append(repr(text.replace("''", "'")))
            elif name and expression[at : at + 1] == "(":
                python.append(name)
            elif name:
                python.append("True" if name == "true" else f"value({name!r})")
            else:
                python.append(WORDS.get(sign, sign))
        functions = {
            "always": lambda: True,
            "success": lambda: not self.failed,
            "failure": lambda: self.failed,
            "format": lambda text, *given: text.format(*given),
            "value": lambda name: _looked_up(name, context),
        }
        return eval("".join(python).strip(), {"__builtins__": {}}, functions)


def _looked_up(name: str, context: Any) -> Any:
    for part in name.split("."):
        context = context.get(part, "") if isinstance(context, dict) else ""
    return context


def clean_environ() -> dict[str, str]:
    """Return this environment, without the variables of pytest, coverage and CI; pytest starts with few plugins."""
    ours = ("COV", "PYTEST", "GITHUB", "RUNNER")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PYTEST_ADDOPTS": without(*UNUSED, *PLUGINS)}
