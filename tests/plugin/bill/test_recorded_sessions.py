"""`pytest --llm-metrics` in whole sessions: workers, crashes, outcomes, and no side effects."""

from __future__ import annotations

import json

from support import SOAK

from pytest_llmmetrics.__main__ import main

pytest_plugins = ["pytester"]


def test_outcomes_are_what_they_were(suite, pytester):
    tests = """
        import pytest, app
        def test_pass(): app.ask()
        def test_fail(): app.ask(); assert 0
        def test_skip(): app.ask(); pytest.skip()
        @pytest.mark.xfail
        def test_xfail(): app.ask(); assert 0
        @pytest.mark.xfail
        def test_xpass(): app.ask()
        @pytest.fixture
        def broken(): yield; 1 / 0
        def test_error(broken): app.ask()
        """
    expected = {"passed": 2, "failed": 1, "skipped": 1, "xfailed": 1, "xpassed": 1, "errors": 1}
    done, report = suite(tests)
    done.assert_outcomes(**expected)
    assert done.ret == 1
    outcomes = {test.rpartition("_")[2]: outcome for test, outcome in report["tests"].items()}
    assert outcomes == {
        "pass": "passed",
        "fail": "failed",
        "skip": "skipped",
        "xfail": "xskipped",
        "xpass": "xpassed",
        "error": "failed",
    }


SHARDED = """
import pytest, app
@pytest.mark.parametrize("n", range(12))
def test_a(n): app.ask(n % 3 + 1, model=["gpt-4o-mini", "gpt-4o"][n % 2])
@pytest.mark.parametrize("n", range(5))
def test_retry(n):
    app.ask(2, fail=True, seed=n)
    app.ask(mute=True, messages=[])
"""

SHUFFLE = """
import random
def pytest_collection_modifyitems(items):
    random.Random(7).shuffle(items)
"""


def test_the_same_rows_and_verdict_in_any_way(suite, pytester, capsys):
    def rows(report) -> str:
        return json.dumps(report["rows"])

    def verdict(name: str) -> str:
        capsys.readouterr()
        assert main(["comment", name]) == 0
        return capsys.readouterr().out

    suite(SHARDED.replace("n % 3 + 1", "1"), "--llm-baseline=create")
    _, one = suite(SHARDED, "--llm-gate")
    found = verdict("report.json")
    assert "calls 1 → 3" in found
    _, workers = suite(SHARDED, "--llm-gate", "-n4" if SOAK else "-n2", apart=True)
    assert found == verdict("report.json")
    assert rows(one) == rows(workers)
    assert one["tests"] == workers["tests"]
    pytester.makeconftest(SHUFFLE)
    _, shuffled = suite(SHARDED, "--llm-gate")
    assert rows(one) == rows(shuffled)
    assert found == verdict("report.json")
    shards = []
    for n, chosen in enumerate(("test_a and (0 or 1 or 2)", "test_a and not (0 or 1 or 2)", "test_retry")):
        suite(SHARDED, "--llm-gate", "-k", chosen, f"--llm-report=shard{n}.json")
        shards.append(f"shard{n}.json")
    assert main(["merge", *shards, "-o", "merged.json"]) == 10
    assert found == verdict("merged.json")
    assert rows(one) == rows(json.loads((pytester.path / "merged.json").read_text("utf8")))


def test_a_crashed_worker_is_known(suite):
    done, _ = suite(
        """
        import app, os
        def test_fine(): app.ask()
        def test_dies(): app.ask(); os._exit(3)
        """,
        "-n1",
        "--llm-gate",
        "--max-worker-restart=0",
        apart=True,
    )
    assert done.ret == 1
    done.stdout.fnmatch_lines(["*inconclusive: the worker gw0 crashed, and its measured calls are lost*"])


def test_nothing_is_touched_while_tests_run(suite):
    done, _ = suite(
        """
        import sys, app
        seen = []
        def hook(event, args):
            if watching and event in ("open", "import", "os.listdir", "subprocess.Popen", "socket.connect"):
                seen.append((event, args[0]))
        watching = False
        sys.addaudithook(hook)
        def test_warm(): app.ask()
        def test_first():
            global watching
            watching = True
            app.ask(3)
            app.ask(model="gpt-4o")
            app.ask(fail=True)
        def test_then():
            global watching
            watching = False
            assert seen == []
        """,
        "-s",
        apart=True,
    )
    done.assert_outcomes(passed=3)


def test_the_controller_alone_meters_nothing(pytester):
    pytester.makepyfile("def test_it(): pass")
    done = pytester.runpytest_subprocess("-n1", "--llm-metrics", "--llm-report=report.json")
    assert done.ret == 0
    assert json.loads((pytester.path / "report.json").read_text())["tests"]
