"""Misuse of cassettes and unused interactions: one clear sentence each. And other plugins."""

from __future__ import annotations

import pytest

from pytest_llmmetrics.cassettes import names as cassette_names

pytest_plugins = ["pytester"]

GOOD = (cassette_names.shipped() / "openai/success.yaml").read_text("utf8")

KEY = "gsk_" + "a1B2c3D4" * 4


def said(result):
    return " ".join((result.stdout.str() + result.stderr.str()).split())


WRONG = {
    "no name": ("()", "needs the name of a cassette"),
    "a near name": ('("openai/rate_limit")', "no cassette openai/rate_limit: did you mean openai/rate_limited?"),
    "a name of a case": ('("anthropic/nothing_like_it")', "there are anthropic/: bad_key, cut, "),
    "another provider": ('("frobnicate")', "no cassette frobnicate: there are anthropic/: bad_key, "),
    "outside": ('("../secrets")', "'../secrets' is not the name of a cassette"),
    "absolute": ('("/etc/passwd")', "'/etc/passwd' is not the name of a cassette"),
    "no string": ("(3)", "3 is not the name of a cassette"),
    "an argument": ('("openai/success", unsed="allow")', "has no argument unsed: did you mean unused?"),
    "a far argument": ('("openai/success", zzz=1)', "has no argument zzz: it takes names and unused, opaque"),
    "a value": ('("openai/success", unused="yes")', "unused='yes' is invalid: write 'fail' or 'allow'"),
    "opaque": ('("openai/success", opaque="id")', "opaque must be a list of JSON keys"),
    "empty": ('("empty")', "cassette empty is empty"),
    "cut off": ('("cut_off")', "cassette cut_off is not YAML, or ends too early in line 11"),
    "no yaml": ('("no_yaml")', "cassette no_yaml is not YAML, or ends too early in line 1"),
    "no interactions": ('("nothing")', "cassette nothing has no interactions"),
    "no interaction": (
        '("half")',
        "cassette half: interactions[0] is not an interaction of vcrpy: KeyError('response')",
    ),
    "a status": ('("negative")', "interactions[0] is not an interaction of vcrpy: ValueError('the status code -7')"),
    "no status": ('("infinite")', "interactions[0] is not an interaction of vcrpy: OverflowError("),
    "a key of YAML": ('("maybe")', "cassette maybe has a date, a number or a nesting that cannot be read"),
    "a fault": ('("fault")', "fault.raises cannot be 'ReadTimout': did you mean ReadTimeout?"),
    "more of a fault": ('("faulty")', "its keys are `raises`, `says` and `when`"),
    "a match": ('("match")', "metadata.match cannot be 'boddy': did you mean body?"),
    "a secret": ('("secret")', "interactions[0].response.body.string.id looks like a Groq key"),
}

FAULT = "interactions:\n- fault:\n    raises: ReadTimout\n"

FILES = {
    "empty": "\n",
    "cut_off": GOOD[:600],
    "no_yaml": "{]",
    "nothing": "interactions: []\nversion: 1\n",
    "half": "interactions:\n- request: {method: POST, uri: x, headers: {}}\nversion: 1\n",
    "negative": GOOD.replace("code: 200", "code: -7"),
    "infinite": GOOD.replace("code: 200", "code: .inf"),
    "maybe": GOOD.replace("code: 200", "code: !!bool maybe"),
    "fault": GOOD.replace("interactions:\n-", FAULT + " "),
    "faulty": GOOD.replace("interactions:\n-", "interactions:\n- fault: {raises: ReadTimeout, after: 3}\n "),
    "match": GOOD.replace("match: api", "match: boddy"),
    "secret": GOOD.replace("chatcmpl-1", KEY),
}


def test_each_mistake_has_its_sentence(run):
    body = "".join(
        f"\n    @cassette{marker}\n    def test_{n}(): ask()\n" for n, (marker, _) in enumerate(WRONG.values())
    )
    result = run(body, files=FILES)
    result.assert_outcomes(errors=len(WRONG))
    text = said(result)
    assert [what for what, (_, sentence) in WRONG.items() if sentence not in text] == []
    assert KEY not in text
    # one sentence, no traceback
    assert "pytest_llmmetrics/" not in text


def test_what_nobody_asked_for(run):
    result = run(
        """
    @cassette("openai/success")
    def test_never(): ...

    @cassette("openai/rate_limited", "openai/success")
    def test_only_one(): assert ask() == 429

    @cassette("openai/success", unused="allow")
    def test_allowed(): ...

    @cassette("openai/success")
    def test_skipped(): pytest.skip("why not")

    @cassette("openai/success")
    @pytest.mark.xfail(strict=True)
    def test_expected(): ...

    @cassette("openai/success")
    def test_fails_by_itself(): assert "its own" == "reason"

    class TestClass:
        pytestmark = cassette("openai/success")

        def test_of_the_class(self): assert ask() == 200

        @cassette("openai/bad_key")
        def test_of_its_own(self): assert ask() == 401
"""
    )
    result.assert_outcomes(failed=3, passed=3, skipped=1, xfailed=1)
    text = said(result)
    assert "no request used: openai/success, interactions[0] (POST https://api.openai.com/v1/chat/completions" in text
    assert "remove openai/success from the marker, or allow it: @pytest.mark.llm_cassette(…, unused='allow')" in text
    assert result.stdout.str().count("\nno request used") == 2


def test_a_swallowed_miss_fails_the_test(run):
    pytest.importorskip("anthropic")
    result = run(
        """
    import anthropic

    def app():
        try:
            with anthropic.Anthropic(api_key="x", max_retries=0) as client:
                client.messages.create(model="m", max_tokens=9, messages=[])
        except anthropic.APIError:
            return "sorry"

    @cassette("openai/success", unused="allow")
    def test_swallowed(): assert app() == "sorry"

    @cassette("openai/success", unused="allow")
    def test_noted():
        assert app() == "hello"
"""
    )
    result.assert_outcomes(failed=2)
    assert said(result).count("POST https://api.anthropic.com/v1/messages (model m) is not recorded") >= 2
    assert "provider: recorded 'openai', sent 'anthropic'" in said(result)
    assert "'anthropic.messages'. The cassettes on the marker ship with the plugin, and stay as they are. " in said(
        result
    )
    assert "Name one of your own there too, then run: pytest --llm-record=once" in said(result)


def test_its_own_cassettes_come_first(run):
    files = {"openai/success": GOOD.replace("code: 200\n      message: OK", "code: 418\n      message: Teapot")}
    result = run('\n    @cassette("openai/success")\n    def test_it(): assert ask() == 418\n', files=files)
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("arguments", [(), ("-n", "1"), ("test_it.py",)], ids=" ".join)
def test_cassettes_that_no_test_names_are_told(run, arguments):
    files = {"mine": GOOD, "old/one": GOOD, "recordings": "interactions: []\nversion: 1\n"}
    result = run('\n    @cassette("mine")\n    def test_it(): assert ask() == 200\n', *arguments, files=files)
    result.assert_outcomes(passed=1)
    assert ("llmmetrics: no test names these cassettes: old/one" in result.stdout.str()) == (
        arguments != ("test_it.py",)
    )
    assert "recordings" not in result.stdout.str()


def test_the_help(pytester):
    result = pytester.runpytest_subprocess("--markers")
    assert "@pytest.mark.llm_cassette(*names, unused='fail', opaque=())" in result.stdout.str()
    result = pytester.runpytest_subprocess("--fixtures", "-q")
    assert "The cassettes of `@pytest.mark.llm_cassette`" in result.stdout.str()
