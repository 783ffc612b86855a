"""The asked side in whole sessions: both sides in a report, values to ignore, prices of unknown models, refusals."""

from __future__ import annotations

import json

pytest_plugins = ["pytester"]

MESSAGES = 'messages=[{"role": "system", "content": "Be kind."}, {"role": "user", "content": %s}]'


def test_a_row_has_two_sides(suite):
    tests = f"""
        import app, httpx2
        def test_it(): app.ask(2, max_tokens=50, {MESSAGES % '"Hello there"'})
        def test_stream():
            body = iter([b'{{"model": "gpt-4o-mini", "messages": []}}'])
            app.client.post("https://api.openai.com/v1/chat/completions", content=body)
        def test_scripted(llm_provider):
            llm_provider.reply("Hi", prompt_tokens=9000)
            httpx2.post("https://api.openai.com/v1/chat/completions", json=dict(model="gpt-4o", {MESSAGES % '"Hi"'}))
        """
    _, report = suite(tests)
    rows = {each["test"].rpartition("::")[2]: each for each in report["rows"]}
    asked = rows["test_it"]["asked"]
    assert asked["limits"] == {"50": 2}
    assert set(asked["segments"]) == {"system", "user"}
    assert asked["prompt"] > sum(asked["segments"].values()) > 0
    assert sum(asked["requests"].values()) == 2
    assert rows["test_it"]["tokens"] == {"input": 240, "output": 16}
    # a streamed upload cannot be read: that is a state
    assert rows["test_stream"]["asked"] == {"unread": 1}
    scripted = rows["test_scripted"]
    assert scripted["scripted"] == 1
    assert scripted["asked"]["prompt"] < 100 < scripted["tokens"]["input"]


CHANGING = f"""
    import app, random
    def test_it(): app.ask(user=random.random(), {MESSAGES % '"Hello there"'})
    """


def test_values_that_change_are_found_and_ignored(suite, pytester):
    done, _ = suite(CHANGING, "--llm-baseline=create", "--llm-twice")
    assert done.ret == 0
    done.stdout.fnmatch_lines(["*changes from run to run: user, in 1 test: *", '*llm_ignore = [[]"user"]'])
    done.assert_outcomes(passed=1)
    pytester.makeini("[pytest]\nllm_ignore = user\n")
    (pytester.path / "llm-costs.json").unlink()
    suite(CHANGING, "--llm-baseline=create")
    rows = (pytester.path / "llm-costs.json").read_text("utf8")
    suite(CHANGING, "--llm-baseline=fix")
    assert (pytester.path / "llm-costs.json").read_text("utf8") == rows
    done, _ = suite(CHANGING, "--llm-gate")
    done.stdout.fnmatch_lines(["passed: 1 test judged"])


def test_prices_of_models_that_no_catalogue_has(suite, pytester):
    tests = "import app\ndef test_it(): app.ask(model='house-7b')"
    done, _ = suite(tests)
    done.stdout.fnmatch_lines(["unknown: no price is known for house-7b at openai (--llm-prices FILE sets it)"])
    prices = {"Model": "house-7b", "From": "2026-01-01T00:00:00Z"}
    prices |= {"CostPerMillionInputTokens": "1", "CostPerMillionOutputTokens": "2"}
    (pytester.path / "prices.json").write_text(json.dumps({"Schema": 1, "Prices": [prices]}))
    _, report = suite(tests, "--llm-prices=prices.json")
    assert report["rows"][0]["usd"] == "0.000136"
    done, _ = suite(tests, "--llm-prices=nowhere.json")
    assert done.ret == 4
    done.stderr.fnmatch_lines(
        ["*--llm-prices: *nowhere.json: the price file cannot be read: *: set --llm-prices to the path of*"]
    )


def test_what_a_recorder_refuses_was_never_sent(suite):
    tests = f"""
        import app, httpx, pytest, vcr
        def test_it():
            with vcr.use_cassette("none.yaml", record_mode="none"), pytest.raises(Exception, match="record_mode"):
                httpx.post("https://api.openai.com/v1/chat/completions", json=dict(model="gpt-4o", {MESSAGES % '"Hi"'}))
        """
    _, report = suite(tests)
    (row,) = report["rows"]
    assert (row["calls"], row["usd"]) == (1, "0")
    assert "estimated" not in row
