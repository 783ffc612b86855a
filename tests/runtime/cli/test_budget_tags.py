"""`llmmetrics budget show --by TAG`: the sums of a tag, by value, in a month or on a day."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from llmmetrics.budgets.ledgers import CallId, open_ledger
from llmmetrics.budgets.ledgers.base import TagSum
from llmmetrics.budgets.tag_sums import day_of
from llmmetrics.cli.budget_tags import days_of
from llmmetrics.cli.main import main
from llmmetrics.errors import ConfigError
from llmmetrics.metrics.registry import PICO

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
DAY = day_of(NOW)


@pytest.fixture
def url(tmp_path):
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = open_ledger(url, namespace="default")
    rows = [
        TagSum("tenant", "acme", DAY, 3 * PICO),
        TagSum("tenant", "b\x1b[31m", DAY + 1, 5 * PICO + PICO // 4),
        TagSum("tenant", "c", DAY + 30, PICO),
    ]
    ledger.tally(CallId("p", 1), rows)
    ledger.close()
    return url


def show(capsys, url, *more):
    code = main(["budget", "show", "--ledger", url, "--by", "tenant", *more])
    return code, capsys.readouterr().out


def test_a_ledger_without_a_scheme(capsys):
    assert main(["budget", "show", "--ledger", "foo"]) == 1
    message = capsys.readouterr().err
    assert "--ledger begins with no scheme: it should be sqlite:///path/to/file" in message
    assert "memory://" not in message


def test_a_month_and_a_day(capsys, url):
    code, text = show(capsys, url, "--window", "2026-11")
    assert code == 0
    assert [line.split()[-1] for line in text.splitlines()[1:]] == ["5.25", "3", "8.25"], text
    assert "\x1b" not in text
    _, text = show(capsys, url, "--window", "2026-11-24", "--json")
    assert json.loads(text)["values"] == [{"value": "acme", "spent_usd": json.loads(text)["values"][0]["spent_usd"]}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--window", "2026-11"], "--window needs --by TAG"),
        (["--by", "tenant", "--backend", "b"], "--by TAG and --backend exclude each other"),
        (["--by", "tennant", "--window", "2026-11"], "no call with the tag 'tennant' has a cost in"),
        (["--by", "tenant", "--window", "2020-01"], "no call with the tag 'tenant' has a cost in"),
    ],
)
def test_what_cannot_be_shown_is_an_error(capsys, url, arguments, message):
    assert main(["budget", "show", "--ledger", url, *arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_tag_that_the_settings_do_not_count(capsys, url, tmp_path):
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"Attribution": {"Keys": ["tenant", "feature"]}, "Budget": {"Ledger": url}}))
    assert main(["budget", "show", str(settings), "--by", "tennant"]) == 1
    assert "'tennant' is not in Attribution.Keys of" in (err := capsys.readouterr().err)
    assert "tenant, feature" in err


@pytest.mark.parametrize("window", ["2026", "2026-13", "2026-02-30", "November", "2026-11-1"])
def test_what_is_no_month_and_no_day(window):
    with pytest.raises(ConfigError, match="write it as 2026-11"):
        days_of(window, NOW)


def test_the_days_of_a_month():
    assert days_of("2028-02", NOW) == (
        day_of(datetime(2028, 2, 1, tzinfo=UTC)),
        day_of(datetime(2028, 2, 29, tzinfo=UTC)),
    )
    assert days_of(None, NOW) == days_of("2026-11", NOW)
    assert days_of("2026-12", NOW)[1] == day_of(datetime(2026, 12, 31, tzinfo=UTC))
