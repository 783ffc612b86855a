"""Makes a finished call's record and log line, and the texts of warnings about calls."""

from __future__ import annotations

import hashlib
import json
import logging
import re

from llmmetrics.core.call import Call
from llmmetrics.core.call_cost import wire_cost
from llmmetrics.core.record import CallRecord
from llmmetrics.metrics.registry import CallSeries
from llmmetrics.pricing.catalogue import catalogue_version
from llmmetrics.pricing.price import dollars
from llmmetrics.reading.outcome import Outcome
from llmmetrics.settings.attribution import LONGEST
from llmmetrics.settings.model import Telemetry
from llmmetrics.settings.price_lookup import PriceLookup
from llmmetrics.wire.format import Charge
from llmmetrics.wire.hosts import Origin
from llmmetrics.wire.usage import FEES, UNCOUNTED

log = logging.getLogger("llmmetrics.calls")

_PLAIN = re.compile(r"[\w./:@+-]+")


def record_of(
    price_lookup: PriceLookup,
    call: Call,
    outcome: Outcome,
    duration: float,
    cost: int | None,
    tags: tuple[tuple[str, str], ...] = (),
) -> CallRecord:
    """Make the record of a finished call; `duration` is in seconds, `cost` in attodollars."""
    first = call.first_chunk_at
    return CallRecord(
        backend=call.series.backend,
        provider=call.route.provider,
        api=call.format.id,
        model=call.series.model,
        model_responded=outcome.model,
        streamed=call.streamed,
        status=outcome.status,
        error_type=outcome.error,
        http_status=call.http_status,
        usage=outcome.usage,
        usage_known=outcome.known,
        cost_usd=None if cost is None else dollars(cost),
        duration=duration,
        time_to_first_chunk=None if first is None else first - call.started,
        ended_at=call.meter.clock.now(),
        parts=outcome.charges or (() if outcome.usage is None else (Charge(None, outcome.usage),)),
        wire_cost_usd=wire_cost(price_lookup, call, outcome),
        tier=outcome.tier,
        fingerprint=hashlib.blake2b(call.route.url.encode() + b"\n" + call.request_body, digest_size=8).hexdigest(),
        url=call.route.url,
        meter=call.meter,
        owner=call.owner,
        tags=tags,
        request_body=call.request_body,
    )


def unknown_path(backend: str, url: str) -> tuple[str, str]:
    """Write the warning that a limited backend gets a request that no table knows; return its topic and text."""
    return f"path {url}", (
        f"POST {url} is neither a call nor known to be free: nothing of it is counted for {backend!r}. It is refused "
        "when the budget is spent. Register a format for it (docs/formats.md), or send it past the meter"
    )


def unpriced(series: CallSeries, outcome: Outcome, url: str) -> tuple[str, str]:
    """Write the warning that a call counts no cost; return its topic and text."""
    if outcome.usage and UNCOUNTED in outcome.usage.buckets:
        return f"path {url}", (
            f"POST {url} is billed, and nothing in request and answer says how much: such calls of {series.backend!r} "
            "count no cost. On a backend with a limit, LlmSettings.Budget.OnUnknownPrice decides about them "
            "(docs/formats.md, 'Paths')"
        )
    what = f"{series.model!r} at {series.backend!r}"
    if outcome.tier:
        what += f" in the service tier {outcome.tier!r}"
    wanted = "CostPerMillionInputTokens and CostPerMillionOutputTokens"
    if outcome.usage and (fees := FEES & outcome.usage.buckets.keys()):
        what += f", or of its {', '.join(sorted(fees))}"
        wanted = "their prices"
    return f"price of {what}", (
        f"no price is known for {what}: such calls count no cost. Set {wanted} "
        "on a backend with this ModelName, or name a PriceFile (docs/prices.md)"
    )


def stale_prices(exception: Exception) -> tuple[str, str]:
    """Write the warning that the price catalogue could not be fetched; return its topic and text."""
    return "refresh", (
        f"the price catalogue could not be refreshed ({type(exception).__name__}): prices stay those of "
        f"{catalogue_version()}. The next try is in an hour. Set LlmSettings.RefreshPrices to false if this "
        "process cannot reach the internet"
    )


def strayed(origin: Origin, backend: str) -> tuple[str, str]:
    """Write the warning that a failover's try sent a request to another host; return its topic and text."""
    return f"try of {backend}", (
        f"a try of the backend {backend!r} sent a request to {origin}, which is not its BaseUrl: it is counted "
        f"as {backend!r}. Check the client that the function of this try uses"
    )


def unseen(backend: str) -> tuple[str, str]:
    """Write the warning that a failover's try made no request that its meter has seen; return its topic and text."""
    return f"request of {backend}", (
        f"a try of the backend {backend!r} made no request that this meter has seen: no fault of it can lead to the "
        "next backend. Wrap the client that its function uses with meter.wrap(client), and call it in the function"
    )


def inherited(run: str) -> tuple[str, str]:
    """Write the warning that a forked process does not have its parent's run; return its topic and text."""
    return f"run {run}", (
        f"the run {run!r} is in the memory of the parent process: it does not limit the calls of this process, "
        "which was forked off. Give it a name, llmmetrics.spending(name=...), to share it"
    )


def ignored_tag(key: str) -> tuple[str, str]:
    """Write the warning that a tag is not counted; return its topic and text."""
    return f"tag {key}", (
        f"calls have the tag {key[:LONGEST]!r}, which is not in LlmSettings.Attribution.Keys: it is not counted. Add "
        "it there, or remove it from llmmetrics.tags(...)"
    )


def outside() -> tuple[str, str]:
    """Write the warning that a thread calls without a run while one is open; return its topic and text."""
    return "outside runs", (
        "a call was made in a thread that belongs to no run, while a run is open: the run does not limit it. Pass the "
        "thread's function through run.bind(function), or use llmmetrics.spending(scope='process')"
    )


def line(record: CallRecord, telemetry: Telemetry) -> str:
    """Format a record as a line of key=value, without content; a value with special characters is quoted as JSON."""
    usage = record.usage
    fields: dict[str, object] = {
        "backend": record.backend,
        "model": record.model,
        "status": record.status,
        "error_type": record.error_type or "-",
    }
    if telemetry.log_token_counts:
        fields["prompt_tokens"] = usage.prompt if usage else 0
        fields["completion_tokens"] = usage.completion if usage else 0
        fields["tokens"] = "known" if record.usage_known else "estimated"
        fields["cost_usd"] = "unknown" if record.cost_usd is None else f"{record.cost_usd:f}"
    if telemetry.log_timing:
        fields["duration_seconds"] = f"{record.duration:.6f}"
    return " ".join(f"{name}={_shown(str(value))}" for name, value in fields.items())


def _shown(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else json.dumps(value)
