"""The gate on GitHub in a user's repository: the workflows of docs/costs.md, with the shell of every step run.

Only what actions of others do is stood in for: a checkout, artifacts, GitHub's API.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.documentation import DOCS, ROOT, blocks
from support.servers import program
from support.workflow_runner import Runner, StepError, clean_environ, load

from pytest_llmmetrics.bill.rendering.markdown import MARKER

ACTIONS = {f"/actions/{each}": ROOT / f".github/actions/{each}/action.yml" for each in ("llm-gate", "llm-comment")}
SHOWN = [load(block.text) for block in blocks(DOCS / "costs.md") if block.language == "yaml"]
COSTS, COMMENT = (next(each for each in SHOWN if each["name"] == name) for name in ("LLM costs", "LLM costs, comment"))

FILES = {
    "shop.py": """
import httpx2

MODEL = "gpt-4o-mini"

def answer(client):
    return client.post("https://api.openai.com/v1/chat/completions", json={"model": MODEL}).json()
""",
    "test_shop.py": """
import httpx2, shop

def test_answer():
    reply = {"model": shop.MODEL, "usage": {"prompt_tokens": 120, "completion_tokens": 8}}
    shop.answer(httpx2.Client(transport=httpx2.MockTransport(lambda request: httpx2.Response(200, json=reply))))
""",
    "test_plain.py": "def test_plain():\n    pass\n",
    "requirements.txt": "pytest\nhttpx2\n",
    ".gitignore": "__pycache__/\n.pytest_cache/\n",
}


class Outside:
    """A repository with the copied workflows, its pull request, and GitHub's state of both."""

    def __init__(self, root: Path, **files: str) -> None:
        self.root, self.origin, self.artifacts = root, root / "origin", root / "artifacts"
        self.state = root / "state.json"
        self.runs = 0
        self.origin.mkdir()
        self.environ = {
            **clean_environ(),
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.name", "A Bookseller")
        self.git("config", "user.email", "bookseller@example.org")
        self.commit("The shop", **FILES, **files)

    def shell(self, *command: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            command, cwd=cwd or self.origin, env=self.environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def git(self, *arguments: str) -> str:
        return self.shell("git", *arguments).strip()

    def commit(self, message: str, **files: str) -> None:
        for name, text in files.items():
            (self.origin / name).write_text(text.lstrip(), "utf8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def agree(self) -> None:
        self.shell("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--llm-baseline=create")
        self.commit("What its tests' LLM calls are")

    def pull(self, message: str, **files: str) -> None:
        """Commit to the pull request, and merge it with the main branch as GitHub does."""
        self.git("switch", "--quiet", *(("change",) if self.runs else ("--create", "change")))
        self.commit(message, **files)
        self.git("switch", "--quiet", "--detach", "main")
        self.git("merge", "--quiet", "--no-ff", "--no-edit", "change")
        self.git("update-ref", "refs/pull/1/merge", "HEAD")
        self.git("switch", "--quiet", "main")

    # the workflows

    def measure(self, **given: str) -> Runner:
        """Run the copied llm-costs.yml on the pull request; `given` are further inputs of the action."""
        (job,) = COSTS["jobs"].values()
        *before, gate = job["steps"]
        job = {**job, "steps": [*before, {**gate, "with": {**gate["with"], **given}}]}
        shutil.rmtree(self.artifacts, ignore_errors=True)
        return self._runner({"event_name": "pull_request", "base_ref": "main", "ref": "refs/pull/1/merge"}).run(job)

    def comment(self) -> Runner:
        """Run the copied llm-comment.yml after it; the pull request is a fork's."""
        head = self.git("rev-parse", "change")
        if not self.state.exists():
            self.state.write_text(json.dumps({"pulls": [], "comments": []}))
        state = {**self.said(), "pulls": [{"number": 1, "label": "stranger:change", "head": {"sha": head}}]}
        self.state.write_text(json.dumps(state))
        fork = {"full_name": "stranger/shop"}
        event = {"event": "pull_request", "id": 7, "head_sha": head, "head_repository": fork, "head_branch": "change"}
        (job,) = COMMENT["jobs"].values()
        return self._runner({"event": {"workflow_run": event}, "token": "t"}).run(job)

    def said(self) -> dict:
        return json.loads(self.state.read_text("utf8"))

    def _runner(self, github: dict) -> Runner:
        self.runs += 1
        where = self.root / f"run-{self.runs}"
        stubs = {
            "actions/checkout": self._checkout,
            "actions/setup-python": lambda runner, given, env: None,
            "actions/upload-artifact": self._upload,
            "actions/download-artifact": self._download,
            "actions/github-script": self._script,
        }
        return Runner(stubs, ACTIONS, github, where / "workspace", where / "temp", self.environ)

    def _checkout(self, runner: Runner, given: dict[str, str], env: dict[str, str]) -> None:
        ref = runner.github["ref"]
        self.shell("git", "init", "--quiet", cwd=runner.workspace)
        wanted = ["+refs/heads/*:refs/remotes/origin/*"] if given.get("fetch-depth") == "0" else ["--depth=1"]
        where = f"file://{self.origin}"
        self.shell("git", "fetch", "--quiet", where, *wanted, f"+{ref}:refs/remotes/{ref}", cwd=runner.workspace)
        self.shell("git", "checkout", "--quiet", "--detach", f"refs/remotes/{ref}", cwd=runner.workspace)

    def _upload(self, runner: Runner, given: dict[str, str], env: dict[str, str]) -> None:
        there = [each for each in map(runner.workspace.joinpath, given["path"].split()) if each.exists()]
        assert there or given["if-no-files-found"] == "ignore"
        for each in there:
            (self.artifacts / given["name"]).mkdir(parents=True, exist_ok=True)
            shutil.copy(each, self.artifacts / given["name"])

    def _download(self, runner: Runner, given: dict[str, str], env: dict[str, str]) -> None:
        found = self.artifacts / given.get("name", given.get("pattern", ""))
        assert (given["run-id"], given["github-token"]) == ("7", "t")
        if found.exists():
            shutil.copytree(found, given["path"])
        elif "name" in given:
            raise StepError(f"Artifact {found.name} not found")

    def _script(self, runner: Runner, given: dict[str, str], env: dict[str, str]) -> None:
        api = Path(__file__).with_name("github_api.cjs")
        node = program("node", "nodejs")
        self.shell(
            "env", *(f"{key}={value}" for key, value in env.items()), node, str(api), given["script"], str(self.state)
        )


@pytest.fixture
def outside(tmp_path):
    return Outside(tmp_path)


DEARER = FILES["shop.py"].replace("gpt-4o-mini", "gpt-4o")


def test_a_dearer_change_ends_with_10_and_is_said_in_one_comment(outside):
    outside.agree()
    outside.pull("A dearer model", **{"shop.py": DEARER})
    measured = outside.measure()
    assert (measured.failed, measured.code) == (True, 10), measured.log
    assert "::error file=test_shop.py" in measured.log
    assert "gpt-4o-mini → gpt-4o" in measured.summary.read_text("utf8")
    commented = outside.comment()
    assert not commented.failed, commented.log
    (comment,) = outside.said()["comments"]
    assert comment["issue_number"] == 1
    assert comment["body"].startswith(MARKER)
    assert "gpt-4o-mini → gpt-4o" in comment["body"]
    # reverted: the same comment is updated
    outside.pull("As it was", **{"shop.py": FILES["shop.py"]})
    measured = outside.measure()
    assert (measured.failed, measured.code) == (False, 0), measured.log
    assert not outside.comment().failed
    (after,) = outside.said()["comments"]
    assert after["id"] == comment["id"]
    assert "gpt-4o-mini → gpt-4o" not in after["body"]


def test_a_run_without_calls_is_green(outside):
    outside.git("rm", "--quiet", "test_shop.py")
    outside.pull("Nothing of an LLM", **{"note.txt": "x"})
    measured = outside.measure()
    assert (measured.failed, measured.code) == (False, 0), measured.log
    assert "no passed test made an LLM call" in measured.log
    # calls without a baseline
    outside.pull("A call", **{"test_shop.py": FILES["test_shop.py"]})
    assert outside.measure().code == 11


def test_a_job_of_a_matrix_names_its_artifact_and_its_reports(outside):
    outside.agree()
    outside.pull("A note", **{"note.txt": "x"})
    measured = outside.measure(artifact="llm-report-3.12", reports="out", arguments="-k\nanswer\n")
    assert not measured.failed, measured.log
    assert [each.name for each in outside.artifacts.iterdir()] == ["llm-report-3.12"]
    kept = {each.name for each in (outside.artifacts / "llm-report-3.12").iterdir()}
    assert kept == {"llm-report.json", "llm-report.html"}
    assert "1 deselected" in measured.log


def test_a_run_that_kept_no_report_is_commented_in_silence(outside):
    outside.git("branch", "change")
    commented = outside.comment()
    assert (commented.failed, commented.log) == (False, "")
    assert outside.said()["comments"] == []


PYTHON = """#!/usr/bin/env bash
if [[ "$*" == "-c import pytest_llmmetrics" ]]; then exit {has}; fi
echo "$*"
exit {code}
"""


@pytest.mark.parametrize(("has", "installs"), [(0, False), (1, True)])
def test_the_plugin_is_installed_where_it_is_missing(tmp_path, has, installs):
    python = tmp_path / "python"
    python.write_text(PYTHON.format(has=has, code=0))
    python.chmod(0o755)
    install = load(ACTIONS["/actions/llm-gate"].read_text("utf8"))["runs"]["steps"][0]
    runner = Runner({}, {}, {}, tmp_path, tmp_path, clean_environ())
    env = {"LLM_PYTHON": str(python), "LLM_INSTALL": "pytest-llmmetrics==9 $(touch x)"}
    done = runner.run({"steps": [{**install, "env": env}]})
    assert not done.failed
    assert done.log == ("-m pip install --quiet pytest-llmmetrics==9 $(touch x)\n" if installs else "")
    python.write_text(PYTHON.format(has=1, code=3))
    assert "install it in a step before this one" in runner.run({"steps": [{**install, "env": env}]}).log
    assert (runner.failed, runner.code) == (True, 1)


def test_the_copied_workflows_may_do_no_more_than_ours():
    for name, copied in {"llm-costs": COSTS, "llm-comment": COMMENT}.items():
        ours = load((ROOT / f".github/workflows/{name}.yml").read_text("utf8"))
        assert copied["permissions"].items() <= ours["permissions"].items()
        assert {key: copied[key] for key in ("name", "on")} == {key: ours[key] for key in ("name", "on")}
        for job in copied["jobs"].values():
            for step in job["steps"]:
                assert "${{" not in step.get("run", "")
    assert COMMENT["on"]["workflow_run"]["workflows"] == [COSTS["name"]]
    assert not any("checkout" in step["uses"] for step in COMMENT["jobs"]["comment"]["steps"])
