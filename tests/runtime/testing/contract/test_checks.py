"""What each check of the metrics contract finds, and that it finds nothing in what we export ourselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llmmetrics.testing.contract.checks import CHECKS, check
from llmmetrics.testing.contract.exposition import parse
from llmmetrics.testing.contract.finding import Scrapes
from llmmetrics.testing.contract.secrets import looks_secret

GOLDEN = Path(__file__).parents[2] / "golden"
CLASSIC, OPENMETRICS, AS_COUNTER = (
    (GOLDEN / name).read_text("utf8")
    for name in ("metrics.txt", "metrics.openmetrics.txt", "metrics.openmetrics.counter.txt")
)


def scrapes(change=lambda text: text, again=lambda text: text, openmetrics=OPENMETRICS) -> Scrapes:
    classic = change(CLASSIC)
    return Scrapes(
        parse(classic.encode(), openmetrics=False),
        parse(change(openmetrics).encode(), openmetrics=True),
        parse(again(classic).encode(), openmetrics=False),
    )


def found(of: Scrapes) -> dict[str, list]:
    return {name: wrong for name in CHECKS if (wrong := check(name, of))}


@pytest.mark.parametrize("openmetrics", [OPENMETRICS, AS_COUNTER, CLASSIC])
def test_what_we_export_keeps_the_contract(openmetrics):
    of = scrapes(openmetrics=openmetrics)
    if openmetrics is CLASSIC:
        of = of._replace(openmetrics=of.again)
    assert found(of) == {}


def sub(pattern: str, by: str, count: int = 0):
    return lambda text: re.sub(pattern, by, text, count=count, flags=re.MULTILINE)


def plus(line: str):
    return lambda text: text.replace("# HELP llm_tokens", f"{line}\n# HELP llm_tokens", 1)


REQUEST = 'llm_requests_total{backend="local",model="llama2",status='
BUCKET = 'llm_request_duration_seconds_bucket{backend="local",le='
BROKEN = {
    "names": [
        (sub("^llm_estimated_cost_usd{", "llm_estimated_cost_usd_total{"), "the cost metric has no _total"),
        (sub("^llm_active_request", "llm_activ_request"), "did you mean llm_active_requests"),
        (sub("^.*llm_backend_health.*\n", ""), "llm_backend_health is missing"),
        (sub("^# HELP llm_(errors|tokens).*\n", ""), "has no HELP line"),
    ],
    "types": [
        (sub("^# TYPE llm_tokens.*\n", ""), "llm_tokens_total has no TYPE line"),
        (sub(r"^(# TYPE llm_backend_health) .*", r"\1 counter"), "llm_backend_health is a counter, not a gauge"),
        (sub(r"^(# TYPE llm_estimated_cost_usd) .*", r"\1 gauge"), "is a gauge, not a counter"),
    ],
    "labels": [
        (sub("^llm_active_requests{", 'llm_active_requests{pid="7",'), "has the label pid"),
        (sub(',model="llama2",status', ",status"), "llm_requests_total lacks the label model"),
    ],
    "values": [
        (sub('status="failure"', 'status="error"'), "has status='error'"),
        (sub('error_type="auth"', 'error_type="authentication"'), "has error_type='authentication'"),
        (sub('backend="local"', 'backend=""'), "has an empty backend"),
    ],
    "buckets": [
        (
            sub('^llm_.*le="20.0".*\n', ""),
            "the buckets of llm_request_duration_seconds_bucket are 0.1 0.25 0.5 1 2.5 5",
        ),
        (sub('le="0.1"', 'le="0.005"'), "are 0.005 0.25"),
    ],
    "numbers": [
        (sub(r'^(llm_requests_total.*"success"}) .*', r"\1 -1"), "is -1"),
        (sub(r"^(llm_estimated_cost_usd{.*}) .*", r"\1 NaN"), "is nan"),
        (sub(r"^(llm_active_requests{.*}) .*", r"\1 +Inf"), "is inf"),
        (sub(r"^(llm_active_requests{.*}) .*", r"\1 -3"), "is -3"),
    ],
    "duplicates": [(plus(f'{REQUEST}"success"}} 0.0'), "is there more than once")],
    "created": [(plus('llm_requests_created{backend="b",model="m",status="success"} 1.7e9'), "is exported")],
    "secrets": [
        (sub('backend="local"', 'backend="sk-proj-abcdefghijkl0123456789"'), "looks like an API key"),
        (sub('model="llama2"', 'model="https://u:hunter2@host/v1"'), "looks like a password in an address"),
    ],
    "histograms": [
        (sub(rf'^({BUCKET}"10.0".*) .*', r"\1 7.0"), "less than the bucket below it"),
        (sub("^llm_request_duration_seconds_sum.*\n", ""), "has no llm_request_duration_seconds_sum"),
        (sub(r'^llm_.*le="\+Inf".*\n', ""), 'has no bucket le="+Inf"'),
        (sub(r"^(llm_request_duration_seconds_count.*) .*", r"\1 9"), "has a count of 9 and"),
    ],
    "gauges": [
        (sub(r"^(llm_backend_health{.*}) .*", r"\1 0.5"), "is 0.5"),
        (
            plus('llm_backend_budget_usd{backend="local",limit_type="max"} 5'),
            "the budget of local has no limit_type='current'",
        ),
    ],
    "tokens": [
        (sub(r'^(llm_tokens_total.*"total"}) .*', r"\1 1000"), "1500 prompt + completion tokens and 1000 total")
    ],
    "durations": [
        (sub(r'^(llm_requests_total{backend="local".*success"}) .*', r"\1 3"), "has 3 requests and 0 durations"),
        (sub(r"^(llm_request_duration_seconds_count.*) .*", r"\1 9"), "and 9 durations"),
    ],
    "errors": [(sub(r'^(llm_errors_total.*"rate_limit"}) .*', r"\1 0"), "and 0 errors")],
    "timeouts": [(sub(r'^(llm_errors_total.*"timeout"}) .*', r"\1 1"), "and 1 errors of the type timeout")],
    "zeros": [
        (sub("^llm_requests_total.*cancelled.*\n", ""), "has no series with status='cancelled' for local/llama2"),
        (sub('^llm_backend_health{backend="local".*\n', ""), "llm_backend_health has no series for local"),
    ],
    "backends": [
        (sub(r'^(llm_estimated_cost_usd{.*model=)"gpt-4"', r'\1"gpt-4-0613"'), "has no llm_requests_total of the same"),
        (
            plus(
                'llm_backend_budget_usd{backend="x",limit_type="max"} 5\n'
                'llm_backend_budget_usd{backend="x",limit_type="current"} 0'
            ),
            "has no llm_backend_health of the same backend",
        ),
    ],
    "formats": [
        (plus("llm_x{a=b} 1"), "the labels of llm_x cannot be read"),
        (plus('llm_x{a="b"} one'), "the value of llm_x cannot be read"),
        (plus('llm_x{a="b",a="c"} 1'), "llm_x has the same label twice"),
        (sub("^# EOF\n", ""), "the # EOF at the end is missing"),
        (lambda text: text[:-1], "the last line has no newline"),
        (plus("# TYPE llm_requests_total counter\n# TYPE llm_requests_total counter"), "a second TYPE line"),
        (plus("# TYPE"), "does not name a metric"),
        (plus("!"), "is not a sample"),
    ],
}
CASES = [(name, *case) for name, cases in BROKEN.items() for case in cases]


@pytest.mark.parametrize(("name", "change", "says"), CASES)
def test_what_a_check_finds(name, change, says):
    wrong = check(name, scrapes(change))
    assert any(says in str(each) for each in wrong), wrong
    assert all(each.do and each.where for each in wrong)


GROWN = [
    (sub(r'^(llm_tokens_total.*"prompt"}) 1000.*', r"\1 900"), "went from 1000 to 900"),
    (sub("^llm_estimated_cost_usd{.*\n", ""), "is gone in the next scrape"),
    (sub(r'^(llm_request_duration_seconds_bucket.*"\+Inf".*) .*', r"\1 0"), "went from 2 to 0"),
]


@pytest.mark.parametrize(("again", "says"), GROWN)
def test_counters_only_grow(again, says):
    assert says in str(check("grown", scrapes(again=again))[0])


def test_every_check_has_been_seen_to_find_something():
    assert CHECKS.keys() == {*BROKEN, "grown"}


def test_calls_that_go_on_meanwhile_are_no_finding():
    more = sub(r"^(llm_(?:requests_total|request_duration_seconds_count).*) 1.0$", r"\1 2.0")
    assert check("durations", scrapes(again=more)) == []
    # one of the two has been read before a call ended, the other one after
    torn = sub(r'^(llm_requests_total{backend="local".*success"}) .*', r"\1 1")
    torn_later = sub(r'^(llm_request_duration_seconds_count{backend="local".*}) .*', r"\1 1")
    first, middle, last = CLASSIC, torn(CLASSIC), torn_later(torn(CLASSIC))
    pages = (parse(each.encode(), openmetrics=False) for each in (first, middle, last))
    assert check("durations", Scrapes(*pages)) == []


def test_many_alike_are_told_in_few_lines():
    many = "\n".join(f'llm_active_requests{{backend="b{n}",pid="1"}} 0' for n in range(40))
    wrong = check("labels", scrapes(plus(many)))
    assert len(wrong) == 1
    wrong = check("duplicates", scrapes(plus(f"{many}\n{many}")))
    assert (len(wrong), wrong[-1].what) == (6, "and 35 more of this kind")


def test_both_formats_of_other_programs_are_read():
    text = (
        "# a comment\n# HELP a_b escaped \\\\ text\n# TYPE a_b counter\n\n"
        'a_b { x = "1\\"\\\\\\n" , y="}" , } 1e3 1700000000000\n'
        '{"with.dots","l.m"="v"} +Inf\nplain\t4.\n'
    )
    page = parse(text.encode(), openmetrics=False)
    assert page.problems == []
    assert [(each.name, dict(each.labels), each.value) for each in page.samples] == [
        ("a_b", {"x": '1"\\\n', "y": "}"}, 1000.0),
        ("with.dots", {"l.m": "v"}, float("inf")),
        ("plain", {}, 4.0),
    ]
    exemplar = b'a_bucket{le="1"} 3 # {trace_id="x y"} 0.5 1.5\n'
    assert parse(exemplar + b"# EOF\n", openmetrics=True).samples[0].value == 3
    assert parse(exemplar, openmetrics=False).problems
    assert parse(b"a 1\n\n# EOF\nb 2\n", openmetrics=True).problems
    assert "UTF-8" in parse(b'a{b="\xff"} 1\n', openmetrics=False).problems[0].what


@pytest.mark.parametrize(
    "text",
    [
        "gpt-4o-mini-2024-07-18",
        "xai-grok-4-fast-non-reasoning-2025",
        "anthropic.claude-3-5-sonnet-20241022-v2:0",
        "hf-internal-testing/tiny-random-gpt2",
        "https://host:8080/v1",
        "openai-primary",
    ],
)
def test_names_are_no_secrets(text):
    assert looks_secret(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "sk-ant-api03-abcdefghijklmnop0123",
        "AIzaSyA1234567890abcdefghijklmnopqrstuv",
        "AKIAABCDEFGHIJKLMNOP",
        "Bearer abcdefgh1234",
        "https://host/v1?api_key=abcdefgh1",
        "eyJhbGciOiJI.eyJzdWIiOiIx",
    ],
)
def test_secrets_are(text):
    assert looks_secret(text)
