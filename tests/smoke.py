"""`make smoke`: quick tests of the wheels with the oldest and the newest versions that they allow, on several Pythons.

A Python that this machine does not have is left out, and named. Environments are made in `.cache/smoke`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support.distributions import Environment, build, run
from support.documentation import ROOT

PLACE = ROOT / ".cache/smoke"
RUNS = (("3.11", "lowest-direct"), ("3.12", "highest"), ("3.13", "highest"), ("3.14", "highest"))
"""Which versions are taken, as `uv pip install --resolution` has it, on which Python."""

TOOLS = ("hypothesis>=6.100", "openai>=3.54", "pytest-httpx>=0.35")
"""What the tests need besides, in versions that go with the lowest ones, pytest 8.4 among them."""

TESTS = (
    "docs/examples/test_budgets.py",
    "docs/examples/test_cassettes.py",
    "docs/examples/test_failures.py",
    "docs/examples/test_tokens.py",
    "tests/plugin/test_clock_and_budget.py",
    "tests/plugin/test_probe.py",
    "tests/runtime/cli/rules/test_files.py",
    "tests/runtime/cli/doctor/test_endpoint.py",
    "tests/runtime/instrumentation/test_process_wide.py",
    "tests/runtime/budgets/ledgers/test_ledgers.py",
    "tests/runtime/test_meter.py",
    "tests/runtime/pricing/test_price_pages.py",
    "tests/runtime/cli/top/test_screen.py",
    "tests/runtime/settings/test_settings.py",
    "tests/runtime/wire/framing/test_body_buffer.py",
)
"""At least one for each dependency and extra."""

# not pyproject.toml's: the oldest pytest reads another table
INI = f"""
[pytest]
addopts = --import-mode=importlib -p no:cacheprovider -q
pythonpath = {ROOT}/tests {ROOT}/docs/examples
markers = soak: more of it
filterwarnings = error::DeprecationWarning:(pytest_)?llmmetrics
"""


def requirements() -> Iterator[str]:
    """What both distributions declare, each as if asked for by itself: only so does uv take the lowest versions."""
    for directory in (ROOT / "runtime", ROOT):
        project = tomllib.loads((directory / "pyproject.toml").read_text("utf8"))["project"]
        extras = {name: each for name, each in project["optional-dependencies"].items() if name != "dev"}
        for each in (*project["dependencies"], *(one for extra in extras.values() for one in extra)):
            if re.match(r"[\w-]+", each)[0] != "llmmetrics":
                yield each


def python(version: str) -> str | None:
    """This Python, from the PATH or pyenv, if it runs."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    for each in (shutil.which(f"python{version}"), *pyenv.glob(f"versions/{version}.*/bin/python")):
        if each and not subprocess.run([each, "-c", ""], capture_output=True, check=False).returncode:
            return str(each)
    return None


def smoke(version: str, resolution: str, wheels: list[Path]) -> str:
    """What the tests say on this Python. Raises `AssertionError` where one fails, or what they need does not install."""
    found = python(version)
    if found is None:
        return "left out: this machine has no such Python"
    started = time.monotonic()
    place = PLACE / version
    uv = Path(sys.executable).with_name("uv")
    run(uv, "venv", "--quiet", "--clear", "--python", found, place, cwd=PLACE)
    asked = ("--python", place, "--resolution", resolution, *requirements(), *TOOLS, *wheels)
    run(uv, "pip", "install", "--quiet", *asked, cwd=PLACE)
    ini = PLACE / "pytest.ini"
    said = Environment(place).run("pytest", "-c", str(ini), "--rootdir", str(ROOT), *TESTS, cwd=ROOT)
    return f"{said.strip().splitlines()[-1]}, {time.monotonic() - started:.0f} s in all"


def main() -> int:
    """All of it, as many at a time as there are processors: 0, or 1 where something failed."""
    shutil.rmtree(PLACE, ignore_errors=True)
    dist = PLACE / "dist"
    dist.mkdir(parents=True)
    (PLACE / "pytest.ini").write_text(INI, "utf8")
    for each in (ROOT / "runtime", ROOT):
        build(each, dist, PLACE / "unpacked")
    failed = False
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        started = [(each, pool.submit(smoke, *each, [*dist.glob("*.whl")])) for each in RUNS]
        for (version, resolution), each in started:
            wrong = each.exception()
            failed = failed or bool(wrong)
            sys.stdout.write(f"Python {version}, {resolution}: {wrong or each.result()}\n")
            sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
