"""What `llmmetrics top` makes of pages: growth through restarts, figures, and what fits on a screen."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from llmmetrics.cli.top import amounts
from llmmetrics.cli.top.board import board
from llmmetrics.cli.top.figures import overview
from llmmetrics.cli.top.frame import Frame
from llmmetrics.cli.top.quantiles import Latency, quantile
from llmmetrics.cli.top.readings import EMPTY, SECONDS, is_ours, scraped
from llmmetrics.testing.contract.exposition import parse

URL = "http://127.0.0.1:5000/metrics"


def page(*lines):
    return parse("".join(f"{line}\n" for line in lines).encode(), openmetrics=False)


def window(*pages, seconds=2.0):
    made = EMPTY
    for n, each in enumerate(pages):
        made = scraped(made, page(*each), n * seconds)
    return made


def calls(n, backend="a", model="m", status="success"):
    return f'llm_requests_total{{backend="{backend}",model="{model}",status="{status}"}} {n}'


def cost(usd, backend="a", model="m"):
    return f'llm_estimated_cost_usd{{backend="{backend}",model="{model}"}} {usd}'


def drawn(seen, width=80, height=None, **frame):
    console = Console(width=width, height=height or 100, file=None, color_system=None)
    with console.capture() as captured:
        console.print(board(seen, Frame(URL, width, height, **{"live": True, **frame})))
    return captured.get()


def rates(*counts, seconds=2.0):
    return overview(window(*([calls(n)] for n in counts), seconds=seconds)).all.rate


def test_a_rate_is_the_growth_over_the_window():
    assert rates(10, 14, 30) == 5
    assert rates(0, 0) == 0
    assert rates(7) is None


def test_a_process_that_is_started_anew_has_no_negative_rate():
    # 4 before, 3 after
    assert rates(10, 14, 3) == 7 / 4
    # and goes on from there
    assert rates(10, 14, 3, 5) == 9 / 6


def test_a_series_that_was_not_there_began_at_0():
    assert overview(window(["llm_up 1"], [calls(6)])).all.rate == 3
    # gone with its process, and back with fewer
    assert overview(window([calls(100)], ["llm_up 1"], [calls(4)])).all.rate == 1
    # gone for good
    assert overview(window([calls(100)], [calls(3, "b")])).backends[0].name == "b"


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=12))
def test_growth_is_never_negative_and_loses_nothing(counts):
    made = window(*([calls(n)] for n in counts))
    (growth,) = (made.readings[-1].grown[key] - made.readings[0].grown[key] for key in made.values)
    steps = list(itertools.pairwise(counts))
    assert growth == sum(after - before if after >= before else after for before, after in steps) >= 0


def test_a_window_is_a_minute_long():
    made = window(*([calls(n)] for n in range(100)))
    assert overview(made).seconds == SECONDS
    assert len(made.readings) == SECONDS / 2 + 1
    # however seldom it is scraped, there are two
    assert overview(window([calls(0)], [calls(300)], [calls(900)], seconds=300.0)).seconds == 300


BUCKETS = {"0.1": 10.0, "0.5": 90.0, "1.0": 95.0, "+Inf": 100.0}


@pytest.mark.parametrize(
    ("part", "seconds"),
    [(0.05, Latency(0.05)), (0.5, Latency(0.3)), (0.95, Latency(1.0)), (0.96, Latency(1.0, above=True))],
)
def test_a_quantile_is_interpolated_as_prometheus_does(part, seconds):
    assert quantile(BUCKETS, part) == pytest.approx(seconds)


def test_a_quantile_of_nothing_is_unknown():
    assert quantile({}, 0.95) is None
    assert quantile(dict.fromkeys(BUCKETS, 0.0), 0.95) is None
    assert quantile({"nan": 1.0, "x": 1.0, "-1": 1.0}, 0.95) is None


def test_cancelled_calls_are_no_errors():
    seen = overview(
        window([calls(6), calls(1, status="failure"), calls(1, status="timeout"), calls(2, status="cancelled")])
    )
    assert seen.all.failed == 0.2


def test_what_nobody_knows_is_not_0():
    known, unknown, partly, idle = (
        overview(window(lines)).backends[0].all
        for lines in (
            [calls(1), cost(0)],
            [calls(1)],
            [calls(1), cost(2), calls(1, model="n")],
            ['llm_backend_health{backend="a"} 1', calls(0)],
        )
    )
    assert (known.cost, known.unpriced) == (0, False)
    assert (unknown.cost, unknown.unpriced) == (None, True)
    assert (partly.cost, partly.unpriced) == (2, True)
    assert (idle.cost, idle.unpriced, idle.failed, idle.p95) == (None, False, None, None)
    assert "$2.00+?" in drawn(overview(window([calls(1), cost(2), calls(1, model="n")])))
    assert "unknown" in drawn(overview(window([calls(1)])))


def test_several_instances_on_a_page_share_a_budget():
    lines = [
        f'{name}{{backend="a",instance="{n}"{more}}} {value}'
        for n, health in enumerate((1, 0))
        for name, more, value in (
            ("llm_backend_health", "", health),
            ("llm_active_requests", "", 3),
            ("llm_backend_budget_usd", ',limit_type="current"', 4 + n),
            ("llm_backend_budget_usd", ',limit_type="max"', 10),
        )
    ]
    (backend,) = overview(window(lines)).backends
    assert (backend.healthy, backend.active) == (False, 6)
    assert backend.budget == (5, 10, 0, 0)


def test_a_ledger_that_does_not_answer_leaves_the_refusals():
    refused = 'llmmetrics_budget_refusals_total{backend="a",reason="ledger"} 12'
    seen = overview(window([calls(1), refused]))
    assert seen.backends[0].budget == (None, None, 12, 0)
    assert "unknown refused 12" in drawn(seen)


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("# TYPE llm_requests_total counter", True),
        (calls(0), True),
        ("llmmetrics_ledger_errors_total 0", True),
        ("go_goroutines 1", False),
        ("vllm_requests_total 1", False),
    ],
)
def test_whose_page_it_is(line, ours):
    assert is_ours(page(line)) is ours


HOSTILE = [
    calls("NaN"),
    calls("+Inf", "b"),
    calls(-3, "c"),
    calls(1, "\x1b[2J[bold]d[/]", "名前" * 40),
    "llm_requests_total 5",
    'llm_backend_budget_usd{backend="e",limit_type="max"} 0',
    'llm_backend_budget_usd{backend="e",limit_type="current"} 0',
    'llm_request_duration_seconds_bucket{backend="a",model="m",le="x"} 3',
    "no sample at all",
]


@pytest.mark.parametrize("width", [10, 40, 80, 140])
def test_a_hostile_page_is_drawn(width):
    seen = overview(window([], HOSTILE, HOSTILE))
    text = drawn(seen, width)
    assert "\x1b" not in text
    if width >= 80:
        assert "?[2J[bold]d" in text
        assert "a line of the page cannot be read" in text
        assert all(cell_len(line) <= width for line in text.splitlines())


def many(n):
    """The busiest last; every third has a budget."""
    lines = [calls(10 * each, f"backend-{each:02}") for each in range(n)]
    for each in range(0, n, 3):
        lines += [
            f'llm_backend_budget_usd{{backend="backend-{each:02}",limit_type="{kind}"}} {usd}'
            for kind, usd in (("current", each), ("max", n))
        ]
    return overview(window(lines))


@pytest.mark.parametrize("height", [16, 24, 50])
@pytest.mark.parametrize("width", [80, 140])
def test_more_backends_than_fit_are_counted(width, height):
    text = drawn(many(60), width, height, hint="q quits")
    assert len(text.splitlines()) <= height
    assert all(len(line) <= width for line in text.splitlines())
    rows = [line.split()[1] for line in text.splitlines() if line.startswith("? ")]
    assert rows == [f"backend-{59 - n:02}" for n in range(len(rows))]
    hidden = [int(line.split()[1]) for line in text.splitlines() if "more" in line]
    budgets = sum("█" in line or "░" in line for line in text.splitlines())
    assert hidden == [60 - len(rows), 20 - budgets]
    assert "q quits" in text


@pytest.mark.parametrize("height", [9, 11, 13])
def test_on_a_low_screen_the_backends_stay(height):
    text = drawn(many(60), 80, height, hint="q quits")
    assert len(text.splitlines()) <= height
    assert "? backend-59" in text
    assert "budget" not in text
    assert "q quits" in text


def test_where_there_is_room_nothing_is_hidden():
    text = drawn(many(6), height=24)
    assert "more" not in text
    assert sum(line.startswith("? ") for line in text.splitlines()) == 6


def test_models_make_room_for_backends():
    lines = [calls(1, f"b{n}", f"m{k}") for n in range(4) for k in range(4)]
    assert drawn(overview(window(lines)), height=30).count("\n    m") == 16
    text = drawn(overview(window(lines)), height=14)
    assert "\n    m" not in text
    assert "more" not in text


def test_long_names_are_cut():
    text = drawn(overview(window([calls(1, "b" * 200, "m" * 200)])), 140)
    assert "b…" in text
    assert "m…" in text
    assert max(map(len, text.splitlines())) <= 140


def test_a_terminal_without_other_letters():
    seen = overview(window([calls(1), calls(1, "z" * 99), *('llm_backend_health{backend="a"} 1',)]))
    assert drawn(many(9), ascii=True).isascii()
    assert drawn(seen, ascii=True, trouble="x" * 99).isascii()


def test_nothing_called_yet():
    assert "the program has no configured backend" in drawn(overview(window(["# TYPE llm_requests_total counter"])))


@pytest.mark.parametrize(
    ("say", "values"),
    [
        (
            amounts.count,
            {None: "-", 0: "0", 9999: "9,999", 10_000: "10.0k", 99_999: "100k", 1_234_567: "1.2M", 2e9: "2.0G"},
        ),
        (amounts.rate, {None: "-", 0: "0", 0.004: "<0.01", 0.25: "0.25", 9.999: "10.0", 42.51: "42.5", 999.7: "1,000"}),
        (amounts.rate, {99.96: "100", 12_345: "12.3k"}),
        (
            amounts.usd,
            {None: "-", 0: "$0", 1e-9: "<$0.000001", 6.8e-5: "$0.000068", 0.0102: "$0.0102", 12.345: "$12.35"},
        ),
        (amounts.usd, {0.99999: "$1.00", 1234.5: "$1,234.50", 12_345: "$12.3k"}),
        (amounts.part, {None: "-", 0: "0%", 1e-5: "<0.1%", 0.0251: "2.5%", 0.0999: "10%", 1.02: "102%"}),
        (
            amounts.seconds,
            {
                None: "-",
                Latency(0.095): "95ms",
                Latency(2.54): "2.5s",
                Latency(9.97): "10s",
                Latency(60, above=True): ">60s",
            },
        ),
        (amounts.seconds, {Latency(0.9996): "1.0s", Latency(1, above=True): ">1s"}),
        (amounts.period, {2: "2 s", 59.7: "1 min 0 s", 90: "1 min 30 s"}),
    ],
)
def test_amounts(say, values):
    assert {value: say(value) for value in values} == values


def tagged(usd, value, key="tenant", backend="a"):
    return f'llm_tagged_cost_usd_total{{key="{key}",value="{value}",backend="{backend}"}} {usd}'


def tokens_of(n, value, key="tenant"):
    labels = f'key="{key}",value="{value}",backend="a",token_type="total"'
    return f"llm_tagged_tokens_total{{{labels}}} {n}"


def test_the_tags_that_cost_most_in_the_window_come_first():
    before = [calls(1), tagged(100, "old"), tagged(1, "acme"), tagged(1, "acme", backend="b"), tokens_of(7, "free")]
    after = [calls(2), tagged(100, "old"), tagged(2, "acme"), tagged(3, "acme", backend="b"), tokens_of(9, "free")]
    seen = overview(window(before, after))
    assert [(tag.value, tag.hourly, tag.cost, tag.tokens) for tag in seen.tags] == [
        ("acme", 3 / 2 * 3600, 5, 0),
        ("old", 0, 100, 0),
        ("free", None, None, 9),
    ]
    lines = drawn(seen).splitlines()
    first = next(n for n, line in enumerate(lines) if line.split()[:1] == ["tag"])
    assert [line.split() for line in lines[first + 1 : first + 4]] == [
        ["tenant=acme", "0", "$5,400.00", "$5.00"],
        ["tenant=old", "0", "$0", "$100.00"],
        ["tenant=free", "9", "-", "unknown"],
    ]
    assert "$/hour" not in drawn(overview(window(after)), live=False).splitlines()[first]


@pytest.mark.parametrize("height", range(8, 30))
def test_tags_never_push_anything_off_the_screen(height):
    lines = [calls(5, name) for name in "abcdef"] + [tagged(n, f"t{n}\\u001b") for n in range(30)]
    text = drawn(overview(window([], lines)), 80, height)
    assert len(text.splitlines()) <= height
    assert all(cell_len(line) <= 80 for line in text.splitlines())
    assert ("tenant=t29" in text) is (height >= 14), text
