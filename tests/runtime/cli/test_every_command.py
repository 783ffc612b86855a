"""What holds for every command of the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from llmmetrics.cli.main import UNREAD, main

COMMANDS = [["check", "{settings}"], ["doctor", "--port", "{port}"], ["price", "gpt-4o"], ["--help"], ["--version"]]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_reader_that_goes_early_gets_no_traceback(tmp_path, command):
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"Backends": [{"Name": "a", "ModelName": "gpt-4o-mini"}]}))
    # a port on which no program may listen
    arguments = [each.format(settings=settings, port=1) for each in command]
    theirs, ours = os.pipe()
    os.close(theirs)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "llmmetrics", *arguments],
            stdout=ours,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(ours)
    # where the output is not buffered, argparse swallows it
    assert done.returncode in ((0, UNREAD) if command[0].startswith("--") else (UNREAD,))
    assert done.stderr == ""


def test_the_version(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"llmmetrics {version('llmmetrics')}\n"
