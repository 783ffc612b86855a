"""`pytest --llm-metrics` in real pytest runs: the owner of each call, and the summary."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]


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
    outside = {row["test"]: row["calls"] for row in report["outside"]}
    assert outside.pop("<session>") == 1
    assert outside["<fixture test_it.py::index>"] == 2
    assert outside["<fixture test_it.py::lazy>"] == 3
    assert outside["<fixtures>"] == 1
    assert sum(outside.values()) == 7


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
    done.stdout.fnmatch_lines(["*earlier runs of tests that were run again*"])


def test_states_are_kept_apart(suite):
    done, report = suite(
        """
        import app
        def test_known(): app.ask()
        def test_mute(): app.ask(mute=True, messages=[{"role": "user", "content": "hello there"}])
        def test_unpriced(): app.ask(model="a-model-without-price")
        """
    )
    known, mute, unpriced = report["rows"]
    assert known["usd"] == "0.0000228"
    assert "tokens" not in mute
    assert mute["unread"] == 1
    assert mute["usd"] == "0"
    assert float(mute["estimated_usd"]) > 0
    assert "usd" not in unpriced
    done.stdout.fnmatch_lines(
        [
            "*~ is an estimate*",
            "*1 successful calls have an answer without usage*",
            "*price is known for a-model-without-price*",
        ]
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
    done.stdout.fnmatch_lines(["*6*720*48*$0.000137*3 tests", "1 more tests are not listed (--llm-top=N lists more)"])


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
