"""The tutorial, from its first command to its last, as a reader at a terminal does it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.documentation import DOCS, ROOT, blocks
from support.servers import free_port, program
from support.shell import shell, told

TUTORIAL = DOCS / "tutorial.md"
PORTS = ("8099", "5000", "9090")
"""The tutorial's ports. Free ports replace them, because tests run in parallel."""


def test_its_commands_run_in_order(tmp_path):
    program("prometheus", "prometheus")
    program("curl", "curl")
    if (
        not os.environ.get("CI")
        and subprocess.run(["make", "--question", ".venv/ready"], cwd=ROOT, check=False).returncode
    ):
        pytest.skip("needs the Makefile's environment, as it is now: run it by `make test`")
    # the tutorial starts in the checkout
    checkout, elsewhere = tmp_path / "checkout", tmp_path / "elsewhere"
    for directory in (checkout, elsewhere):
        directory.mkdir()
    for each in ("Makefile", "pyproject.toml", "constraints.txt", "runtime"):
        (checkout / each).symlink_to(ROOT / each)
    (checkout / ".venv").symlink_to(sys.prefix)
    ports = {port: str(free_port()) for port in PORTS}

    def here(text: str) -> str:
        for port, free in ports.items():
            text = text.replace(port, free)
        return text

    with shell(checkout, {"TMPDIR": str(elsewhere)}) as terminal:
        for block in blocks(TUTORIAL):
            assert not block.shown, f"line {block.line}: the tutorial has no block that is only shown"
            if block.title:
                place = Path(terminal.run("pwd").strip())
                assert place.parent == elsewhere
                (place / block.title).write_text(here(block.text), "utf8")
            else:
                assert block.language == "console", f"line {block.line}: neither a file nor commands"
                told(f"tutorial, line {block.line}", terminal, here(block.text))
