"""Baselines and reports as files: acts, schema, and the commands of `llmmetrics-gate`."""

from __future__ import annotations

import json
import os
from fnmatch import fnmatch
from pathlib import Path

import pytest
from support.reports import report, rich, row

from pytest_llmmetrics.__main__ import main
from pytest_llmmetrics.bill.baseline import Baseline, amended, unchanged
from pytest_llmmetrics.bill.documents import DocumentError, parsed, write
from pytest_llmmetrics.bill.rendering.markdown import MARKER, comment
from pytest_llmmetrics.bill.report import Report
from pytest_llmmetrics.bill.rows import Remarks

DOCS = Path(__file__).resolve().parents[3] / "docs"
A, B, C = (f"test_{each}.py::test" for each in "abc")


@pytest.mark.parametrize(("name", "kind"), [("llm-report", Report), ("llm-costs", Baseline)])
def test_the_published_schema(name, kind):
    path = DOCS / f"{name}.schema.json"
    text = json.dumps(kind.model_json_schema(), indent=1, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_DOCS"):
        path.write_text(text, "utf8")
    assert path.read_text("utf8") == text, "set UPDATE_DOCS=1 to write it again"


def test_this_projects_own_baseline_is_in_its_own_form():
    text = (DOCS.parent / "llm-costs.json").read_text("utf8")
    assert parsed(Baseline, text, "llm-costs.json").text() == text


def act(acts, measured, *, passed=(), vanished=()):
    by_test = {}
    for each in measured:
        by_test.setdefault(each.test, []).append(each)
    header = Baseline(schema=1, book="today", sellers={"openai": "openai"})
    new, changes = amended(
        Baseline(schema=1, book="then", rows=[row(A), row(B)]), acts, by_test, passed, vanished, header=header
    )
    return {each.test: each.calls for each in new.rows}, changes, new


def test_acts_are_separate():
    now = [row(A, calls=3), row(C)]
    assert act({"create"}, now, passed=[A, C])[0] == {A: 1, B: 1, C: 1}
    assert act({"fix"}, now, passed=[A, C])[0] == {A: 3, B: 1}
    assert act({"trim"}, now, passed=[A, C], vanished=[B])[0] == {A: 1}
    assert act({"create", "fix", "trim"}, now, passed=[A, C], vanished=[B])[0] == {A: 3, C: 1}


def test_a_test_that_did_not_pass_keeps_its_rows():
    assert act({"create", "fix"}, [row(A, calls=3), row(C)], passed=[])[0] == {A: 1, B: 1}


def test_fix_drops_what_is_asked_no_more():
    assert act({"fix"}, [], passed=[A])[0] == {B: 1}


def test_a_baseline_that_is_right_is_not_touched():
    _, changes, new = act({"create", "fix", "trim"}, [row(A), row(B)], passed=[A, B])
    assert not any(changes)
    assert new.book == "then"


@pytest.mark.parametrize(
    ("acts", "passed", "version", "fixed"),
    [
        ({"fix"}, [A, B], 2, [A]),
        # the estimates of a test that did not run are still of the old version
        ({"create", "fix"}, [B, C], 1, []),
        ({"create"}, [A, B, C], 1, []),
    ],
)
def test_estimates_keep_the_version_that_made_them(acts, passed, version, fixed):
    guessed = row(A, tokens={}, estimated={"output": 5})
    old = Baseline(schema=1, estimator=1, rows=[guessed, row(B)])
    measured = {A: [guessed], B: [row(B)], C: [row(C)]}
    new, changes = amended(old, acts, measured, passed, (), header=Baseline(schema=1, estimator=2))
    assert (new.estimator, changes.fixed) == (version, fixed)


def test_a_baseline_has_a_line_for_each_row_and_no_money():
    text = Baseline(schema=1, book="b", rows=[row(B), row(A, wire_tokens={"input": 1}, wire_usd="0.25")]).text()
    lines = [json.loads(line.rstrip(",")) for line in text.splitlines() if line.startswith('{"test"')]
    lines.sort(key=lambda each: each["test"])
    assert [each["test"] for each in lines] == [A, B]
    assert lines[0]["wire_usd"] == "0.25"
    assert "usd" not in lines[1]
    assert parsed(Baseline, text, "x").text() == text


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "file.json"
    write(path, "one")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(DocumentError, match=r"file\.json cannot be written: No space left"):
        write(path, "two")
    assert [each.name for each in path.parent.iterdir()] == ["file.json"]
    assert path.read_text() == "one"


@pytest.fixture
def saved(tmp_path):
    def save(name: str, each: Report) -> str:
        path = tmp_path / name
        path.write_text(each.text(), "utf8")
        return str(path)

    return save


def test_comment(saved, capsys):
    assert main(["comment", saved("r.json", rich())]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[:2] == [MARKER, "## 🔴 LLM costs: blocked"]
    assert main(["comment", saved("r.json", report([row(A), row(B)]))]) == 0
    assert "2 tests made 2 calls: 256 tokens, $0.0000456." in capsys.readouterr().out


def test_diff(saved, capsys):
    base, head = saved("base.json", report([row(A), row(B)])), saved("head.json", report([row(A, calls=2)]))
    assert main(["diff", base, head]) == 10
    out = capsys.readouterr().out
    assert f"regression: {A}: calls 1 → 2" in out
    assert f"1 test of the baseline no longer exists: {B}" in out
    assert main(["diff", base, head, "--mode", "warn"]) == 0
    assert (
        main(
            [
                "diff",
                base,
                head,
                *(f"--limit={each} 200%" for each in ("calls", "tokens", "cost", "total tokens", "total cost")),
            ]
        )
        == 0
    )
    assert main(["diff", base, base]) == 0
    capsys.readouterr()
    assert main(["diff", base, head, "--markdown"]) == 10
    assert capsys.readouterr().out.startswith(MARKER)


def test_diff_leaves_the_estimates_of_two_versions_alone(saved, capsys):
    base, head = (report([row(A, estimated={"output": n})]) for n in (10, 1000))
    assert main(["diff", saved("base.json", base), saved("head.json", head)]) == 10
    base.estimator = 1
    capsys.readouterr()
    assert main(["diff", saved("base.json", base), saved("head.json", head)]) == 11
    said = "theirs are by version 1 of the estimator, ours by version 0: measure both with one version"
    assert said in capsys.readouterr().out


def test_merge_takes_one_version_of_the_estimator(saved, tmp_path, capsys):
    one, two = (report([row(each)], tests={each: "passed"}) for each in (A, B))
    two.estimator = 2
    out = str(tmp_path / "all.json")
    assert main(["merge", saved("1.json", one), saved("2.json", two), "-o", out]) == 2
    assert "install one version of llmmetrics everywhere" in capsys.readouterr().err


def test_merge_judges_the_whole(saved, tmp_path):
    out = tmp_path / "all.json"
    agreed = [row(A), row(B)]
    one, two = (
        report([row(A)], agreed=agreed, tests={A: "passed"}),
        report([row(B)], agreed=agreed, tests={B: "passed"}),
    )
    assert main(["merge", saved("1.json", one), saved("2.json", two), "-o", str(out)]) == 0
    assert parsed(Report, out.read_text("utf8"), "all").text() == report([row(A), row(B)], agreed=agreed).text()
    two = report([row(B, calls=2)], agreed=agreed, tests={B: "passed"})
    assert main(["merge", saved("1.json", one), saved("2.json", two), "-o", str(out)]) == 10


def test_merge_keeps_what_each_shard_knows(saved, tmp_path):
    agreed = [row(A), row(B), row(C)]
    one, two = (report([row(each)], agreed=agreed, tests={each: "passed"}, gone=[B, C]) for each in (A, B))
    one.remarks, two.remarks = {A: Remarks(clock="system[0]")}, {B: Remarks(difference="messages[0]")}
    two.windows = {"openai gpt-4o-mini": 128_000}
    out = tmp_path / "all.json"
    main(["merge", saved("1.json", one), saved("2.json", two), "-o", str(out)])
    whole = parsed(Report, out.read_text("utf8"), "all")
    assert (set(whole.remarks), whole.windows) == ({A, B}, two.windows)
    assert whole.gate.gone == [C]


def test_a_report_that_is_nested_too_deep_is_a_usage_error(tmp_path, capsys):
    path = tmp_path / "deep.json"
    path.write_text('{"schema": 2, "rows": ' + "[" * 200_000 + "]" * 200_000 + "}")
    for command in (["comment", str(path)], ["diff", str(path), str(path)], ["page", str(path), "-o", "x.html"]):
        assert main(command) == 2
        assert "nested too deep" in capsys.readouterr().err


def test_control_characters_are_shown_and_not_obeyed(saved, capsys):
    evil = "test_a.py::test[\x1b[31m\n::error::\u202e]"
    base, head = report([row(evil)]), report([row(evil, calls=2)])
    assert main(["diff", saved("base.json", base), saved("head.json", head)]) == 10
    assert main(["comment", saved("head.json", head)]) == 0
    out = capsys.readouterr().out
    assert not set("\x1b\u202e") & set(out)
    assert "\n::error::" not in out


def test_a_comment_is_as_long_as_github_takes():
    names = [f"tests/test_{n}.py::test_{'x' * 5000}" for n in range(40)]
    now = report([row(each, calls=3) for each in names], agreed=[row(each) for each in names])
    text = comment(now, "https://github.com/o/r/actions/runs/1")
    assert len(text) <= 65_536
    many = report([row(A)], agreed=[row(A)], notices=["y" * 3000] * 40)
    text = comment(many, "https://github.com/o/r/actions/runs/1")
    assert len(text) <= 65_536
    assert text.endswith("The rest is in [the report of the run](https://github.com/o/r/actions/runs/1).\n")


def test_reprice(saved, capsys):
    assert main(["reprice", saved("r.json", report([row(A), row(B, "gpt-4o")])), "--model", "gpt-4o=gpt-4o-mini"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"$0.00038 → $0.0000228  {B}" in lines
    assert f"$0.0000228 → $0.0000228  {A}" in lines
    assert lines[-1].startswith("$0.000403 → $0.0000456 (\N{MINUS SIGN}89%)")


def test_page(saved, tmp_path):
    out = tmp_path / "r.html"
    assert main(["page", saved("r.json", rich()), "-o", str(out)]) == 0
    assert out.read_text("utf8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("acts", "calling", "passed", "said"),
    [
        (["create"], [], [A], "no test made an LLM call (*"),
        (["create"], [B], [A], "no test that made LLM calls passed"),
        (["create"], [A, B], [A], "the tests that made LLM calls are already in the file: --llm-baseline=fix *"),
        (["fix"], [B], [B], "the tests that made LLM calls are not in the file: --llm-baseline=create *"),
        (["create", "fix"], [A], [A], ""),
        (["trim"], [], [], ""),
    ],
)
def test_why_nothing_was_written(acts, calling, passed, said):
    assert fnmatch(unchanged(acts, Baseline(schema=1, rows=[row(A)]), calling, passed), said)
