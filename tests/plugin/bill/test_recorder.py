"""`pytest --llm-metrics`: which test each call belongs to, and what is said of it, in real pytest runs."""

from __future__ import annotations

import json
import sys

import pytest

pytest_plugins = ["pytester"]

APP = """
import json, threading
import httpx2

USAGE = {"prompt_tokens": 120, "completion_tokens": 8}

def reply(request):
    asked = json.loads(request.content)
    if asked.get("fail"):
        return httpx2.Response(429, json={"error": {"code": "rate_limit_exceeded"}})
    usage = {} if asked.get("mute") else {"usage": USAGE}
    return httpx2.Response(200, json={"model": asked["model"], "choices": [], **usage})

client = httpx2.Client(transport=httpx2.MockTransport(reply))

def ask(n=1, model="gpt-4o-mini", **more):
    for _ in range(n):
        client.post("https://api.openai.com/v1/chat/completions", json={"model": model, **more})

def in_a_thread(*args, **more):
    thread = threading.Thread(target=ask, args=args, kwargs=more)
    thread.start()
    thread.join()
"""


@pytest.fixture
def suite(pytester):
    """Runs a suite with the app beside it; gives the outcome, and the report where there is one."""
    pytester.makepyfile(app=APP)

    def run(tests: str, *arguments: str, **files: str):
        pytester.makepyfile(test_it=tests, **files)
        done = pytester.runpytest_subprocess(
            "-p", "no:cacheprovider", "--llm-metrics", "--llm-report=report.json", *arguments
        )
        path = pytester.path / "report.json"
        return done, json.loads(path.read_text("utf8")) if path.exists() else {}

    return run


def counted(rows) -> dict[str, int]:
    return {row["test"].rpartition("::")[2]: row.get("calls", 0) for row in rows}


def test_calls_belong_to_what_was_running_when_they_began(suite):
    done, report = suite(
        """
        import pytest, app
        app.ask()                                   # of the session: nothing runs yet
        @pytest.fixture(scope="session")
        def index(): app.ask(2); yield; app.ask()
        @pytest.fixture
        def lazy(): app.ask(3)
        def test_thread(index): app.in_a_thread(4)
        @pytest.mark.parametrize("n", [1, 2], ids=["one", "a::b"])
        def test_many(n): app.ask(n)
        def test_asks_for_more(request):
            app.ask()
            request.getfixturevalue("lazy")
            app.ask()
        class TestOld:
            def setup_method(self): app.ask()
            def test_in_class(self): app.ask()
        def test_none(): pass
        """
    )
    done.assert_outcomes(passed=6)
    assert counted(report["rows"]) == {
        "test_thread": 4,
        "test_many[one]": 1,
        "b]": 2,
        "test_asks_for_more": 2,
        "test_in_class": 1,
    }
    beside = {row["test"]: row["calls"] for row in report["beside"]}
    assert beside.pop("<session>") == 1
    assert beside["<fixture test_it.py::index>"] == 2
    assert beside["<fixture test_it.py::lazy>"] == 3
    assert beside["<fixtures>"] == 1
    assert sum(beside.values()) == 7


def test_an_answer_that_outlives_its_test_is_still_its_own(suite):
    _, report = suite(
        """
        import app, gc
        kept = []
        def test_leaves_it_open():
            request = app.client.build_request(
                "POST", "https://api.openai.com/v1/chat/completions", json={"model": "gpt-4o-mini"})
            stream = app.client.send(request, stream=True)
            kept.append(stream)
        def test_lets_go(): kept.pop().close()
        """
    )
    assert counted(report["rows"]) == {"test_leaves_it_open": 1}


def test_doctests_and_unittests(suite):
    done, report = suite(
        """
        import unittest, app
        class Case(unittest.TestCase):
            def setUp(self): app.ask()
            def test_unit(self): app.ask()
        def documented():
            '''
            >>> import app; app.ask(3)
            '''
        """,
        "--doctest-modules",
    )
    done.assert_outcomes(passed=2)
    assert counted(report["rows"]) == {"test_unit": 2, "test_it.documented": 3}


def test_retries_are_attempts(suite):
    _, report = suite(
        """
        import app
        def test_retry():
            app.ask(2, fail=True)
            app.ask()
        """
    )
    failed, fine = report["rows"]
    assert (failed["calls"], failed["attempts"], failed["errors"]) == (1, 2, {"rate_limit": 2})
    assert "tokens" not in failed
    assert fine["calls"] == fine["attempts"] == 1


def test_of_a_test_that_is_run_again_the_last_run_counts(suite):
    pytest.importorskip("pytest_rerunfailures")
    done, report = suite(
        """
        import app
        n = 0
        def test_flaky():
            global n
            n += 1
            app.ask(n)
            assert n == 3
        """,
        "--reruns=3",
    )
    done.assert_outcomes(passed=1)
    assert counted(report["rows"]) == {"test_flaky": 3}
    assert counted(report["reruns"]) == {"test_flaky": 3}
    assert report["tests"] == {"test_it.py::test_flaky": "passed"}
    done.stdout.fnmatch_lines(["*runs that were run again*"])


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


def test_states_are_kept_apart(suite):
    done, report = suite(
        """
        import app
        def test_known(): app.ask()
        def test_mute(): app.ask(mute=True, messages=[{"role": "user", "content": "hello there"}])
        def test_nobody(): app.ask(model="an-unknown-model")
        """
    )
    known, mute, nobody = report["rows"]
    assert known["usd"] == "0.0000228"
    assert "tokens" not in mute
    assert mute["unread"] == 1
    assert mute["usd"] == "0"
    assert float(mute["estimated_usd"]) > 0
    assert "usd" not in nobody
    done.stdout.fnmatch_lines(
        ["*~ is an estimate*", "*1 successful calls carry no usage*", "*price is known for a-model-of-nobody*"]
    )


def test_nothing_is_said_of_nothing(suite):
    done, _ = suite("def test_it(): pass")
    assert "LLM" not in done.stdout.str()
    assert done.ret == 0


def test_the_dearest_first(suite):
    done, _ = suite(
        """
        import app
        def test_a(): app.ask()
        def test_b(): app.ask(3)
        def test_c(): app.ask(2)
        """,
        "--llm-top=2",
    )
    listed = [line.rpartition("::")[2] for line in done.stdout.lines if "test_it.py::" in line]
    assert listed == ["test_b", "test_c"]
    done.stdout.fnmatch_lines(["*6*720*48*$0.000137*3 tests", "1 more tests are not shown (--llm-top)"])


def test_an_application_that_instruments_itself_is_counted_once(suite):
    _, report = suite(
        """
        import app, llmmetrics
        from prometheus_client import CollectorRegistry
        def test_own_meter():
            settings = {"Backends": [{"Name": "mine", "Type": "OpenAI", "ApiKey": "x",
                "CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 2}]}
            meter = llmmetrics.Meter.from_settings(settings, registry=CollectorRegistry())
            llmmetrics.instrument(meter)
            app.ask()
            llmmetrics.uninstrument()
            app.ask()
        """
    )
    by_backend = {row["backend"]: (row["calls"], row["usd"]) for row in report["rows"]}
    assert by_backend == {"mine": (1, "0.000136"), "openai": (1, "0.0000228")}


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


def test_the_same_rows_in_any_way(suite, pytester):
    def rows(report) -> str:
        return json.dumps(report["rows"])

    _, one = suite(SHARDED, "-n0")
    _, four = suite(SHARDED, "-n4")
    assert rows(one) == rows(four)
    assert one["tests"] == four["tests"]
    pytester.makeconftest(SHUFFLE)
    _, shuffled = suite(SHARDED)
    assert rows(one) == rows(shuffled)
    shards = []
    for n, chosen in enumerate(("test_a and (0 or 1 or 2)", "test_a and not (0 or 1 or 2)", "test_retry")):
        suite(SHARDED, "-k", chosen, f"--llm-report=shard{n}.json")
        shards.append(f"shard{n}.json")
    done = pytester.run(sys.executable, "-m", "pytest_llmmetrics", "merge", *shards, "-o", "merged.json")
    assert done.ret == 0, done.stderr.str()
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
    )
    assert done.ret == 1
    done.stdout.fnmatch_lines(["*inconclusive: the worker gw0 crashed: what it measured is lost*"])


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
    )
    done.assert_outcomes(passed=3)


def test_the_controller_alone_meters_nothing(pytester):
    pytester.makepyfile("def test_it(): pass")
    done = pytester.runpytest_subprocess("-n2", "--llm-metrics", "--llm-report=report.json")
    assert done.ret == 0
    assert json.loads((pytester.path / "report.json").read_text())["tests"]
