"""The actions and workflows: their content, and their shell, run as on GitHub."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import workflow_runner
from support.reports import report, rich, row
from support.servers import program

from pytest_llmmetrics.bill.judging.gate import verdict_of
from pytest_llmmetrics.bill.rendering import github, markdown

ROOT = Path(__file__).resolve().parents[3] / ".github"
ACTION, COMMENT = (ROOT / f"actions/{each}/action.yml" for each in ("llm-gate", "llm-comment"))
SUITE = """
import httpx2
def test_it():
    reply = {"usage": {"prompt_tokens": 120, "completion_tokens": 8}}
    client = httpx2.Client(transport=httpx2.MockTransport(lambda request: httpx2.Response(200, json=reply)))
    client.post("https://api.openai.com/v1/chat/completions", json={"model": "gpt-4o-mini"})
"""


def load(path: Path) -> dict:
    return workflow_runner.load(path.read_text("utf8"))


def steps(path: Path) -> list[dict]:
    made = load(path)
    jobs = made.get("jobs") or {"action": made["runs"]}
    return [step for job in jobs.values() for step in job.get("steps", [])]


def shell(script: str, where: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("bash", "bash"), "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=where,
        capture_output=True,
        text=True,
        check=False,
        env={**workflow_runner.clean_environ(), **environ},
    )


def test_the_measuring_workflow_has_no_secret_and_may_write_nothing():
    made = load(ROOT / "workflows/llm-costs.yml")
    assert "pull_request" in made["on"]
    assert "pull_request_target" not in made["on"]
    assert made["permissions"] == {"contents": "read"}
    assert "secrets" not in (ROOT / "workflows/llm-costs.yml").read_text("utf8")
    (checkout,) = [step["with"] for step in made["jobs"]["gate"]["steps"] if "checkout" in step.get("uses", "")]
    assert checkout == {"fetch-depth": 0, "persist-credentials": False}


def test_the_commenting_workflow_runs_nothing_of_the_pull_request():
    path = ROOT / "workflows/llm-comment.yml"
    made = load(path)
    assert list(made["on"]) == ["workflow_run"]
    assert made["on"]["workflow_run"]["workflows"] == [load(ROOT / "workflows/llm-costs.yml")["name"]]
    for step in steps(path):
        if "checkout" in step.get("uses", ""):
            assert "ref" not in step["with"]
            assert "repository" not in step["with"]


EVERY = [ACTION, COMMENT, *sorted((ROOT / "workflows").glob("*.yml"))]


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_expression_becomes_shell_or_script(path):
    for step in steps(path):
        for text in (step.get("run", ""), step.get("with", {}).get("script", "")):
            assert "${{" not in text
        if "run" in step:
            assert (
                subprocess.run([program("bash", "bash"), "-n"], input=step["run"], text=True, check=False).returncode
                == 0
            )
        assert re.fullmatch(r"\.?[\w./-]+(@[0-9a-f]{40})?", step.get("uses", "./"))


def test_the_scripts_javascript_parses(tmp_path):
    node = program("node", "nodejs npm")
    (script,) = [step["with"]["script"] for step in steps(COMMENT) if "script" in step.get("with", {})]
    path = tmp_path / "script.mjs"
    path.write_text(f"async () => {{\n{script}\n}};\n")
    assert subprocess.run([node, "--check", str(path)], check=False).returncode == 0


def test_the_actions_shell(tmp_path):
    (gate,) = [step["run"] for step in steps(ACTION) if step.get("id") == "gate"]
    (tmp_path / "test_it.py").write_text(SUITE)
    made = shell(f"{sys.executable} -m pytest -q -p no:cacheprovider --llm-baseline=create", tmp_path)
    assert made.returncode == 0, made.stdout + made.stderr
    inputs = {"LLM_BASE": "", "LLM_PYTHON": sys.executable, "LLM_REPORTS": "reports"}
    output = tmp_path / "output"

    def run(arguments: str) -> tuple[int, str]:
        output.write_text("")
        done = shell(gate, tmp_path, **inputs, LLM_ARGUMENTS=arguments, GITHUB_OUTPUT=str(output))
        return done.returncode, output.read_text()

    assert run("-p\nno:cacheprovider\n\n-k\ntest_it and not $(touch broken)x\n")[0] in {0, 4}
    assert not (tmp_path / "broken").exists()
    assert run("test_it.py\n") == (0, "code=0\n")
    assert {each.name for each in (tmp_path / "reports").iterdir()} == {"llm-report.json", "llm-report.html"}
    (tmp_path / "llm-costs.json").write_text("{}")
    assert run("") == (11, "code=11\n")


def test_the_comments_shell(tmp_path):
    (render,) = [step["run"] for step in steps(COMMENT) if step.get("id") == "render"]
    path = tmp_path / "llm-report.json"
    path.write_text(rich().text(), "utf8")
    output = tmp_path / "output"
    places = {
        "REPORT": str(path),
        "COMMENT": str(tmp_path / "comment.md"),
        "GITHUB_OUTPUT": str(output),
        "LLM_PYTHON": sys.executable,
    }
    assert shell(render, tmp_path, **places).returncode == 0
    assert output.read_text() == "made=true\n"
    assert (tmp_path / "comment.md").read_text("utf8") == markdown.comment(rich())
    for spoilt in ('{"schema": 1}', "x"):
        path.write_text(spoilt)
        assert shell(render, tmp_path, **places).returncode != 0
    link = tmp_path / "link.json"
    link.symlink_to("/etc/hostname")
    assert shell(render, tmp_path, **{**places, "REPORT": str(link)}).returncode == 1
    assert output.read_text() == "made=true\n"


EVIL = "test_a.py::test_it[`x` | <img src=x onerror=1> @everyone [a](http://b) <!-- -->\n# h]"


def test_a_strangers_names_are_no_markup_in_a_comment():
    made = report([row(EVIL, "<b>@team https://evil", 3)], agreed=[row(EVIL, "gpt-4o-mini")])
    text = markdown.comment(made)
    table = next(line for line in text.splitlines() if "test_a.py" in line)
    bare = re.sub(r"`[^`]*`", "", table)
    assert len(re.findall(r"(?<!\\)\|", table)) == 8
    assert "@team" not in bare
    assert "https://" not in bare
    assert not re.search(r"(?<!\\)<(?!br>)", bare)
    assert text.count(markdown.MARKER) == 1
    assert len(text.splitlines()) < 20


def test_annotations():
    verdict = verdict_of(
        report([row("test_a.py::test_x[50%,a:b]", calls=2)], agreed=[row("test_a.py::test_x[50%,a:b]")])
    )
    assert list(github.commands({}, verdict)) == []
    first, *_ = github.commands({"GITHUB_ACTIONS": "true"}, verdict)
    assert first == ("::error file=test_a.py,title=LLM cost%3A regression::test_a.py::test_x[50%25,a:b]: calls 1 → 2")


def test_the_summary_of_a_job(tmp_path):
    path = tmp_path / "summary.md"
    github.summarise({}, "nothing")
    for text in ("one\n", "two\n"):
        github.summarise({"GITHUB_STEP_SUMMARY": str(path)}, text)
    assert path.read_text() == "one\ntwo\n"
    github.summarise({"GITHUB_STEP_SUMMARY": str(tmp_path / "no/such")}, "nothing")
