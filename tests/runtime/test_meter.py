"""Which backend and model a call belongs to, what it costs, and what is said of it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry
from support.meter_setup import URL, Setup, backend

from llmmetrics import ConfigError, Meter
from llmmetrics.testing import observe

# what is said


def test_one_line_a_call_without_content(caplog):
    setup = Setup({"Telemetry": {"LogTokenCounts": True, "LogTiming": True}})
    with caplog.at_level(logging.INFO, "llmmetrics.calls"):
        setup.post(messages=[{"role": "user", "content": "SECRET"}])
    (line,) = [record.getMessage() for record in caplog.records if record.name == "llmmetrics.calls"]
    assert line.startswith(
        "backend=openai model=gpt-4o-mini status=success error_type=- prompt_tokens=1000 completion_tokens=100 "
        "tokens=known cost_usd=0.00021 duration_seconds="
    )
    assert "SECRET" not in line


def test_nothing_is_logged_unless_asked_for(caplog):
    with caplog.at_level(logging.DEBUG, "llmmetrics"):
        Setup().post()
    assert not [record for record in caplog.records if record.name.startswith("llmmetrics")]


def test_a_model_cannot_forge_a_line(caplog):
    setup = Setup({"Telemetry": {"LogTiming": True}})
    with caplog.at_level(logging.INFO, "llmmetrics.calls"):
        setup.post(model="m status=success\nbackend=x")
    (message,) = [record.getMessage() for record in caplog.records if record.name == "llmmetrics.calls"]
    assert 'model="m status=success\\nbackend=x" status=success' in message


def test_a_second_meter_does_not_heal_a_backend():
    setup = Setup({"Backends": [backend("b")]})
    setup.status = 500
    for _ in range(3):
        setup.post()
    Meter.from_settings({"Backends": [backend("b")]}, registry=setup.registry)
    assert setup.value("llm_backend_health", backend="b") == 0


# robustness


def test_metering_never_breaks_a_call(monkeypatch, caplog):
    from llmmetrics.reading import outcome

    setup = Setup()
    monkeypatch.setattr(outcome, "from_json", lambda *_: 1 / 0)
    for _ in range(2):
        assert setup.client.post(URL, json={"model": "m"}).status_code == 200
    assert setup.value("llmmetrics_internal_errors_total", where="finish") == 2
    assert setup.value("llm_active_requests") == 0
    assert caplog.text.count("internal error of llmmetrics in finish (ZeroDivisionError at ") == 1


def test_an_observer_that_raises_is_counted():
    setup = Setup()
    with observe(lambda record: 1 / 0):
        assert setup.client.post(URL, json={"model": "m"}).status_code == 200
    assert setup.value("llmmetrics_internal_errors_total", where="observer") == 1


def test_every_reading_of_time_goes_through_the_clock():
    class Frozen:
        def monotonic(self):
            return 5.0

        def now(self):
            return datetime(2030, 1, 1, tzinfo=UTC)

    record = Setup(clock=Frozen()).post()
    assert record.duration == 0
    assert record.ended_at == datetime(2030, 1, 1, tzinfo=UTC)


# health


def test_health_has_hysteresis():
    setup = Setup({"Backends": [backend("b")]})

    def after(*statuses):
        for setup.status in statuses:
            setup.post()
        return setup.value("llm_backend_health", backend="b")

    assert after(500, 500) == 1
    assert after(200, 500, 500) == 1, "in a row"
    assert after(400, 404) == 1, "the caller's fault"
    assert after(503) == 0
    assert after(200, 400) == 0
    assert after(500, 200) == 0, "in a row"
    assert after(200) == 1


def test_a_meter_takes_the_content_of_a_file():
    meter = Meter({"llm_settings": {"Backends": [backend("a")]}}, registry=CollectorRegistry())
    assert [each.name for each in meter.settings.backends] == ["a"]
    with pytest.raises(ConfigError, match="did you mean Backends"):
        Meter({"Backend": []}, registry=CollectorRegistry())


def test_a_meter_closes_at_the_end_of_its_with(tmp_path):
    limited = {"Backends": [backend("a", MaxSpendUsd=1)], "Budget": {"Ledger": f"sqlite:///{tmp_path}/spend.db"}}
    with Meter(limited, registry=CollectorRegistry()) as meter:
        assert isinstance(meter, Meter)
        assert meter.engine.enforcer.close.alive
    assert not meter.engine.enforcer.close.alive
