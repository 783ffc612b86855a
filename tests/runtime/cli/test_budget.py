"""`llmmetrics budget`, as an operator runs it, on ledgers that callers have spent in."""

from __future__ import annotations

import getpass
import io
import json
import sys
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from support.servers import redis_server

from llmmetrics.budgets.ledgers import Basis, CallId, open_ledger
from llmmetrics.cli.main import main
from llmmetrics.metrics.registry import PICO
from llmmetrics.settings.windows import ResetPeriod, WindowSchedule
from llmmetrics.system.boot import uptime

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
LEASE = 60.0
HOURLY, NEVER = WindowSchedule(ResetPeriod.HOURLY), WindowSchedule(ResetPeriod.NEVER)
DAILY = WindowSchedule(ResetPeriod.DAILY, zone="Europe/Vienna")
PASSWORD = "s3cret"
BACKENDS = [
    {"Name": "openai", "MaxSpendUsd": 10, "SpendResetPeriod": "Daily", "SpendResetTimeZone": "Europe/Vienna"},
    {"Name": "free"},
    {"Name": "claude", "Type": "Anthropic", "MaxSpendUsd": 5, "SpendResetPeriod": "Never"},
]


@pytest.fixture(autouse=True)
def frozen():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture(params=["sqlite", "redis"])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
        return
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis", "--requirepass", PASSWORD) as server:
        yield server.url.replace("//", f"//:{PASSWORD}@")


@pytest.fixture
def ledger(url):
    made = open_ledger(url, namespace="team")
    yield made
    made.close()


@pytest.fixture
def settings(url, tmp_path):
    path = tmp_path / "settings.json"
    budget = {"Ledger": url, "Namespace": "team"}
    path.write_text(json.dumps({"LlmSettings": {"Budget": budget, "Backends": BACKENDS}}))
    return str(path)


@pytest.fixture
def budget(capsys):
    """The command's exit code, output and errors."""

    def run(*arguments):
        code = main(["budget", *arguments])
        out, err = capsys.readouterr()
        assert PASSWORD not in out + err
        return code, out, err

    return run


def spend(ledger, backend, usd, *, shape=DAILY, limit=10, at=NOW, hold=0):
    """A call that came to so much, and one that is in flight."""
    window = shape.window(at)
    for id, amount in (("done", 0), ("flight", int(hold * PICO))):
        ledger.reserve(backend, window, amount, limit * PICO, CallId(f"{id}-{at}", 0), at, uptime(), LEASE)
    ledger.settle(backend, CallId(f"done-{at}", 0), int(usd * PICO), Basis.KNOWN, at, window)


def cells(text):
    return [[each.strip() for each in line.split("  ") if each.strip()] for line in text.splitlines()]


HEADER = ["backend", "spent USD", "reserved USD", "limit USD", "window", "next reset"]


def test_show(ledger, settings, budget):
    spend(ledger, "openai", 1.25, hold=2)
    code, out, err = budget("show", settings)
    assert (code, err) == (0, "")
    assert cells(out) == [
        HEADER,
        ["openai", "1.25", "2", "10", "since 2026-11-23 23:00 UTC", "2026-11-24 23:00 UTC"],
        ["claude", "0", "0", "5", "never reset", "never"],
    ]
    assert len(cells(budget("show", settings, "--backend", "claude")[1])) == 2


def test_show_of_a_ledger_alone(url, ledger, budget):
    spend(ledger, "openai", 1.25, limit=20)
    spend(ledger, "gone", 3, shape=HOURLY, at=NOW - timedelta(hours=1))
    code, out, _ = budget("show", "--ledger", url, "--namespace", "team")
    assert code == 0
    assert cells(out)[1:] == [
        ["gone", "0", "0", "10", "no call in it yet", "-"],
        ["openai", "1.25", "0", "20", "since 2026-11-23 23:00 UTC", "2026-11-24 23:00 UTC"],
    ]


@pytest.mark.parametrize("name", ["tag:tenant=acme", "tenant=acme"])
def test_a_tag_is_chosen_with_and_without_its_prefix(url, ledger, budget, name):
    spend(ledger, "tag:tenant=acme", 1.25)
    spend(ledger, "tag:tenant=b", 2)
    chosen = ("--ledger", url, "--namespace", "team", "--backend", name)
    assert [row[1] for row in cells(budget("show", *chosen)[1])[1:]] == ["1.25"]
    assert budget("reset", *chosen, "--yes")[0] == 0
    (reset,) = json.loads(budget("history", *chosen, "--json")[1])["resets"]
    assert reset["taken_off_usd"] == "1.25"


def test_the_settings_limits_of_tags_are_shown_and_reset(url, ledger, budget, tmp_path):
    limits = [
        {"Tag": "tenant", "MaxSpendUsd": 5, "SpendResetPeriod": "Daily", "SpendResetTimeZone": "Europe/Vienna"},
        {"Tag": "tenant", "Value": "big", "MaxSpendUsd": 50, "SpendResetPeriod": "Never"},
    ]
    sections = {
        "Budget": {"Ledger": url, "Namespace": "team"},
        "Attribution": {"Keys": ["tenant"], "Limits": limits},
        "Backends": BACKENDS,
    }
    path = tmp_path / "tags.json"
    path.write_text(json.dumps({"LlmSettings": sections}))
    spend(ledger, "tag:tenant=acme", 1.25, limit=5)
    spend(ledger, "tag:tenant=big", 7, limit=50, shape=NEVER)
    spend(ledger, "tag:user=gone", 9)
    rows = cells(budget("show", str(path))[1])[1:]
    assert [row[:4] for row in rows[2:]] == [["tag:tenant=acme", "1.25", "0", "5"], ["tag:tenant=big", "7", "0", "50"]]
    assert budget("reset", str(path), "--backend", "tenant=acme", "--yes")[0] == 0
    assert [row[1] for row in cells(budget("show", str(path), "--backend", "tenant=acme")[1])[1:]] == ["0"]


def test_show_as_json(ledger, settings, budget):
    spend(ledger, "openai", 0.000000001)
    code, out, _ = budget("show", settings, "--json")
    document = json.loads(out)
    assert code == 0
    assert document.keys() == {"ledger", "namespace", "budgets"}
    assert (document["ledger"], document["namespace"]) == (ledger.name, "team")
    assert document["budgets"][0] == {
        "backend": "openai",
        "spent_usd": "0.000000001",
        "booked_usd": {"known": "0.000000001", "estimated": "0", "worst_case": "0", "pending": "0"},
        "reserved_usd": "0",
        "limit_usd": "10",
        "window_start": "2026-11-23T23:00:00+00:00",
        "resets_at": "2026-11-24T23:00:00+00:00",
    }
    assert document["budgets"][1]["resets_at"] is None


def test_a_reset_is_recorded_with_who_did_it(ledger, settings, budget):
    spend(ledger, "openai", 1.25, hold=2)
    spend(ledger, "claude", 4, shape=NEVER)
    code, out, err = budget("reset", settings, "--backend", "openai", "--yes")
    assert (code, err) == (0, "")
    assert cells(out)[1][:3] == ["openai", "1.25", "2026-11-24 12:30 UTC"]
    # reservations of calls in flight stay, and other backends do not change
    shown = json.loads(budget("show", settings, "--json")[1])["budgets"]
    assert [(each["spent_usd"], each["reserved_usd"]) for each in shown] == [("0", "2"), ("4", "0")]
    (recorded,) = json.loads(budget("history", settings, "--json")[1])["resets"]
    assert (recorded["backend"], recorded["taken_off_usd"]) == ("openai", "1.25")
    assert recorded["at"] == NOW.isoformat()
    assert recorded["by"].startswith(f"{getpass.getuser()}@")


def test_a_reset_as_json(ledger, settings, budget):
    spend(ledger, "openai", 1.25)
    document = json.loads(budget("reset", settings, "--yes", "--json")[1])
    assert [(each["backend"], each["taken_off_usd"]) for each in document["resets"]] == [
        ("openai", "1.25"),
        ("claude", "0"),
    ]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("YES\n", 0), ("n\n", 1), ("\n", 1), ("", 1), ("yo\n", 1)])
def test_a_reset_asks(ledger, settings, budget, monkeypatch, answer, code):
    spend(ledger, "openai", 1.25)
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    found, out, err = budget("reset", settings)
    assert found == code
    assert "1.25" in err
    assert f"Set this spend to 0 in {ledger.name}? [y/N]" in err
    assert ledger.balance("openai", DAILY.window(NOW), uptime()).spent == (0 if code == 0 else 1.25 * PICO)
    assert ("nothing was reset" in err) == bool(code)
    assert bool(out) == (code == 0)


def test_a_reset_without_a_terminal_is_refused(ledger, settings, budget, monkeypatch):
    spend(ledger, "openai", 1.25)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    code, out, err = budget("reset", settings)
    assert (code, out) == (1, "")
    assert err == ("llmmetrics: budget reset needs a confirmation, and stdin is not a terminal: give --yes\n")
    assert ledger.corrections() == []


def test_a_reset_of_windows_that_overlap_needs_the_settings(url, ledger, settings, budget):
    spend(ledger, "openai", 1)
    spend(ledger, "openai", 1, shape=HOURLY, at=NOW + timedelta(seconds=1))
    code, _, err = budget("reset", "--ledger", url, "--namespace", "team", "--yes")
    assert code == 1
    assert "'openai' has several windows at once" in err
    assert ledger.corrections() == []
    assert budget("reset", settings, "--yes")[0] == 0


def test_history(ledger, settings, budget):
    for days in range(3):
        spend(ledger, "openai", 1 + days, at=NOW - timedelta(days=days))
    spend(ledger, "gone", 3)
    assert budget("reset", settings, "--backend", "openai", "--yes")[0] == 0
    code, out, _ = budget("history", settings, "--backend", "openai")
    windows, resets = out.split("\n\n")
    assert code == 0
    assert cells(windows) == [
        ["backend", "spent USD", "limit USD", "window", "until"],
        ["openai", "0", "10", "since 2026-11-23 23:00 UTC", "2026-11-24 23:00 UTC"],
        ["openai", "2", "10", "since 2026-11-22 23:00 UTC", "2026-11-23 23:00 UTC"],
        ["openai", "3", "10", "since 2026-11-21 23:00 UTC", "2026-11-22 23:00 UTC"],
    ]
    assert [each[:3] for each in cells(resets)[1:]] == [["openai", "1", "2026-11-24 12:30 UTC"]]
    everybody = json.loads(budget("history", settings, "--json")[1])
    assert {each["backend"] for each in everybody["windows"]} == {"openai", "gone", "claude"}


def worst_case(ledger, backend, usd, *, at=NOW):
    ledger.settle(backend, CallId(f"lost-{at}", 0), int(usd * PICO), Basis.WORST_CASE, at, DAILY.window(at))


def test_show_says_how_sure_the_spend_is(ledger, settings, budget):
    spend(ledger, "openai", 1.25)
    worst_case(ledger, "openai", 2)
    _, out, _ = budget("show", settings)
    accounts, parts = out.split("\n\n")
    assert cells(accounts)[1][:2] == ["openai", "3.25"]
    assert cells(parts) == [
        ["backend", "known USD", "estimated USD", "worst case USD", "pending USD"],
        ["openai", "1.25", "0", "2", "0"],
    ]


def test_worst_cases_are_taken_back_and_recorded(ledger, settings, budget):
    spend(ledger, "openai", 1.25, hold=2)
    worst_case(ledger, "openai", 3)
    code, out, err = budget("release", settings, "--backend", "openai", "--unknown", "--yes")
    assert (code, err) == (0, "")
    assert cells(out)[1][:3] == ["openai", "3", "2026-11-24 12:30 UTC"]
    shown = json.loads(budget("show", settings, "--json")[1])["budgets"][0]
    assert (shown["spent_usd"], shown["reserved_usd"]) == ("1.25", "2")
    history = json.loads(budget("history", settings, "--json")[1])
    (recorded,) = history["releases"]
    assert (recorded["backend"], recorded["taken_off_usd"], recorded["at"]) == ("openai", "3", NOW.isoformat())
    assert recorded["by"].startswith(f"{getpass.getuser()}@")
    assert history["resets"] == []


def test_pruning(ledger, settings, budget, monkeypatch):
    for days in (0, 40, 400):
        spend(ledger, "openai", 1, at=NOW - timedelta(days=days))
    code, _, err = budget("prune", settings, "--before", "2026-01-31")
    assert (code, "needs a confirmation" in err) == (1, True)
    code, out, _ = budget("prune", settings, "--before", "2026-01-31", "--yes")
    assert (code, out) == (0, "1 windows were deleted\n")
    assert len(ledger.history("openai")) == 2
    for wrong in ("yesterday", "2027-01-01"):
        code, _, err = budget("prune", settings, "--before", wrong, "--yes")
        assert (code, wrong in err) == (1, True)


@pytest.mark.parametrize("action", ["show", "reset", "history"])
def test_a_backend_that_has_no_budget(ledger, settings, budget, action):
    spend(ledger, "openai", 1)
    yes = ["--yes"] if action == "reset" else []
    code, out, err = budget(action, settings, "--backend", "opena", *yes)
    assert (code, out) == (1, "")
    assert "no backend 'opena' has a budget in" in err
    assert "use one of" in err
    assert "openai" in err


def test_a_namespace_that_nobody_has(url, ledger, budget):
    spend(ledger, "openai", 1)
    code, _, err = budget("show", "--ledger", url, "--namespace", "empty", "--json")
    assert (code, err) == (
        1,
        f"llmmetrics: no backend has a budget in {ledger.name}, namespace 'empty': set MaxSpendUsd, or check --ledger and --namespace\n",
    )


def test_the_default_ledger(tmp_path, budget, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"LlmSettings": {"Backends": BACKENDS}}))
    code, _, err = budget("show", str(path))
    assert code == 1
    assert f"there is no ledger {tmp_path}/llmmetrics/budget-default.db: no call has been booked yet" in err
    assert not list(tmp_path.glob("llmmetrics/*"))
    ledger = open_ledger(f"sqlite:///{tmp_path}/llmmetrics/budget-default.db", namespace="default")
    spend(ledger, "openai", 2)
    ledger.close()
    assert cells(budget("show", str(path))[1])[1][:2] == ["openai", "2"]


@pytest.mark.parametrize(
    ("ledger", "said"),
    [
        ("memory://", "--ledger is memory://: only its own process can read such a ledger"),
        ("sqlite:///no/such/file.db", "there is no ledger"),
        ("sqlite://file.db", "--ledger: a file is written sqlite:///"),
        (f"postgres://u:{PASSWORD}@h/db", "--ledger begins with postgres://: it should be"),
        (f"u:{PASSWORD}@h://x", "--ledger begins with no scheme"),
        (f"redis://:{PASSWORD}@127.0.0.1:1/0", "redis://127.0.0.1:1/0: no connection"),
        # passwords that were not quoted
        (f"redis://u:a/{PASSWORD}@127.0.0.1:1/0", "is no URL that redis-py understands"),
        (f"redis://u:1@{PASSWORD}/x@127.0.0.1:1/0", ""),
        (f"redis://:{PASSWORD}@h:port/0", "is no URL that redis-py understands"),
        (f"redis://h:1/0?password={PASSWORD}&socket_timeout=0.1", ""),
    ],
)
def test_a_ledger_that_cannot_be_asked(budget, ledger, said):
    code, out, err = budget("show", "--ledger", ledger)
    assert (code, out) == (1, "")
    assert said in err
    assert err.startswith("llmmetrics: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["show"],
        ["reset", "--yes"],
        ["history", "--json"],
        ["shw", "x"],
        ["show", "a", "b"],
        ["show", "x", "--yes"],
        ["release", "x"],
        ["prune", "x"],
    ],
)
def test_a_wrong_call_exits_with_2(arguments):
    with pytest.raises(SystemExit) as caught:
        main(["budget", *arguments])
    assert caught.value.code == 2


def test_settings_that_are_wrong(tmp_path, budget):
    code, _, err = budget("show", str(tmp_path / "none.json"))
    assert code == 1
    assert "the settings cannot be read" in err


def test_a_user_without_a_name(ledger, settings, budget, monkeypatch):
    def no_name():
        raise OSError("no username")

    monkeypatch.setattr(getpass, "getuser", no_name)
    assert "somebody@" in budget("reset", settings, "--yes")[1]
