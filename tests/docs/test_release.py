"""A release: both distributions have one version, and the changelog is built from its fragments."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from support.documentation import ROOT
from support.workflow_runner import Runner, clean_environ, load

RUNTIME, PLUGIN = (
    tomllib.loads((ROOT / each).read_text("utf8"))["project"] for each in ("runtime/pyproject.toml", "pyproject.toml")
)
TYPES = {"added", "changed", "deprecated", "removed", "fixed"}


def test_both_distributions_have_one_version():
    assert PLUGIN["version"] == RUNTIME["version"]
    (needed,) = [each for each in map(Requirement, PLUGIN["dependencies"]) if each.name == "llmmetrics"]
    assert str(needed.specifier) == f"=={PLUGIN['version']}"


def test_the_actions_install_and_the_documentation_names_this_version():
    for each in ("llm-gate", "llm-comment"):
        action = load((ROOT / f".github/actions/{each}/action.yml").read_text("utf8"))
        assert action["inputs"]["install"]["default"] == f"{PLUGIN['name']}=={PLUGIN['version']}"
    named = re.findall(r"/\.github/actions/[\w-]+@(\S+)", (ROOT / "docs/costs.md").read_text("utf8"))
    assert named == [f"v{PLUGIN['version']}"] * 2


WORKFLOW = load((ROOT / ".github/workflows/release.yml").read_text("utf8"))


def test_only_the_jobs_that_publish_and_sign_may_write():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    allowed = {name: job["permissions"] for name, job in WORKFLOW["jobs"].items() if "permissions" in job}
    assert allowed == {
        "publish": {"id-token": "write"},
        "attest": {"attestations": "write", "id-token": "write"},
    }
    publish = WORKFLOW["jobs"]["publish"]
    assert set(publish["needs"]) == WORKFLOW["jobs"].keys() - {"publish"}
    for job in allowed:
        assert not any("run" in step for step in WORKFLOW["jobs"][job]["steps"]), job


@pytest.mark.parametrize(
    ("tag", "runtime", "heading", "piece", "said"),
    [
        ("v1.2.3", "1.2.3", "1.2.3 (2030-01-02)", False, ""),
        ("v1.2.4", "1.2.3", "1.2.4 (2030-01-02)", False, "file=pyproject.toml::the tag is v1.2.4"),
        ("v1.2.3", "1.2.2", "1.2.3 (2030-01-02)", False, "file=runtime/pyproject.toml::"),
        ("v1.2.3", "1.2.3", "1.2.3 (not yet released)", False, "1.2.3 has no date here"),
        ("v1.2.3", "1.2.3", "1.2.3 (2030-01-02)", True, "changelog.d has pieces left"),
    ],
)
def test_a_tag_is_the_version_of_both(tmp_path, tag, runtime, heading, piece, said):
    files = {
        "pyproject.toml": 'version = "1.2.3"\n',
        "runtime/pyproject.toml": f'version = "{runtime}"\n',
        "CHANGELOG.md": f"# Changelog\n\n## {heading}\n",
        "changelog.d/template.md.j2": "",
        **({"changelog.d/x.fixed.md": "x"} if piece else {}),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (step,) = [each for each in WORKFLOW["jobs"]["build"]["steps"] if "TAG" in each.get("env", {})]
    done = Runner({}, {}, {"ref_name": tag}, tmp_path, tmp_path / "temp", clean_environ()).run({"steps": [step]})
    assert said in done.log
    assert done.failed == bool(said)


def test_both_distributions_name_the_same_pythons():
    def pythons(project):
        return [each for each in project["classifiers"] if each.startswith("Programming Language")]

    assert pythons(PLUGIN) == pythons(RUNTIME)
    assert PLUGIN["requires-python"] == RUNTIME["requires-python"]


def test_the_changelog_has_this_version():
    text = (ROOT / "CHANGELOG.md").read_text("utf8")
    assert re.search(rf"^## {re.escape(PLUGIN['version'])} \(", text, re.MULTILINE)
    assert "Unreleased" not in text


def draft(directory) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "9.9.9", "--dir", str(directory)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_piece_stands_in_the_next_version():
    said = draft(ROOT)
    assert said.returncode == 0, said.stderr
    plain = " ".join(said.stdout.split())
    for piece in (ROOT / "changelog.d").glob("*.md"):
        assert piece.name.split(".")[-2] in TYPES
        assert " ".join(piece.read_text("utf8").split()) in plain, piece.name


@pytest.fixture
def project(tmp_path):
    """Copy the changelog's configuration, without fragments."""
    (tmp_path / "changelog.d").mkdir()
    for each in ("pyproject.toml", "CHANGELOG.md", "changelog.d/template.md.j2"):
        (tmp_path / each).write_bytes((ROOT / each).read_bytes())
    return tmp_path


def test_a_piece_of_each_type(project):
    for each in TYPES:
        (project / f"changelog.d/some-name.{each}.md").write_text(f"What is {each},\nin two lines.\n")
    said = draft(project).stdout
    assert "## 9.9.9 (" in said
    assert "some-name" not in said
    for each in TYPES:
        assert f"### {each.title()}\n\n- What is {each},\n  in two lines.\n" in said


@pytest.mark.parametrize("name", ["no-type.md", "of-another.feature.md"])
def test_a_piece_without_a_known_type_is_an_error(project, name):
    (project / "changelog.d" / name).write_text("x")
    said = draft(project)
    assert said.returncode != 0
    assert name in said.stdout + said.stderr


def test_a_release_stands_above_the_last_and_below_the_header(project):
    before = (project / "CHANGELOG.md").read_text("utf8")
    (project / "changelog.d/x.fixed.md").write_text("What was wrong.")
    done = [sys.executable, "-m", "towncrier", "build", "--yes", "--version", "9.9.9", "--date", "2030-01-02"]
    subprocess.run([*done, "--dir", str(project)], check=True, capture_output=True)
    header, _, rest = before.partition("\n## ")
    made = (project / "CHANGELOG.md").read_text("utf8")
    assert made == f"{header}\n## 9.9.9 (2030-01-02)\n\n### Fixed\n\n- What was wrong.\n\n## {rest}"
    assert not (project / "changelog.d/x.fixed.md").exists()
