"""`llmmetrics doctor`: why metrics or costs may be missing or wrong, and what to do.

It answers the guide's Troubleshooting section; `docs/troubleshooting.md` lists its lines.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from llmmetrics import endpoint, surroundings
from llmmetrics.columns import money
from llmmetrics.errors import ConfigError
from llmmetrics.findings import Finding, Level, error, ok, warning
from llmmetrics.loading import load
from llmmetrics.resolved import UNKNOWN, Resolved, resolved
from llmmetrics.settings import OnUnknownPrice, Settings, Telemetry

MANY_MODELS = 1000

MODELS = Telemetry().max_models_per_backend


def run(source: str | None, port: int) -> int:
    """Print a line a finding; 1 where one is an error."""
    failed = False
    for finding in findings(source, port):
        failed |= finding.level is Level.ERROR
        sys.stdout.write(f"{finding}\n")
    return int(failed)


def findings(source: str | None, port: int) -> Iterator[Finding]:
    """Everything there is to say of this Python, these settings and this port."""
    yield from surroundings.sdks()
    yield from surroundings.encodings()
    yield from surroundings.processes()
    yield from of_settings(source)
    yield from endpoint.port(port)


def of_settings(source: str | None) -> Iterator[Finding]:
    """What is to be said of a settings file."""
    if source is None:
        yield ok("no settings given", "`llmmetrics doctor SETTINGS` looks at them too")
        return
    try:
        settings = load(source)
    except ConfigError as exc:
        # of several, the first line only says that there are several
        first, *several = str(exc).splitlines()
        yield from (error(each.strip()) for each in several or [first])
        return
    yield ok(f"{source} is valid, with {len(settings.backends)} backends")
    yield from _telemetry(settings.telemetry)
    if not settings.backends:
        yield warning(
            "no Backends are configured, so calls are counted under the provider's name, at the catalogue's price",
            "name them under LlmSettings.Backends",
        )
    for backend in resolved(settings):
        yield from _backend(backend, settings)


def _telemetry(telemetry: Telemetry) -> Iterator[Finding]:
    if not telemetry.enable_metrics:
        yield error("Telemetry.EnableMetrics is false, so nothing is exported", "set it to true")
    if telemetry.log_token_counts:
        yield ok("LogTokenCounts is on", "the logger llmmetrics.calls shows each call's tokens and cost at INFO")
    else:
        yield ok("LogTokenCounts is off", "set it to true to check costs: a line a call, with its tokens and cost")
    most = telemetry.max_models_per_backend
    if most > MANY_MODELS:
        yield warning(
            f"MaxModelsPerBackend is {most}: dynamic model names may make too many time series",
            f"lower it: each model is 20 to 35 series, and what is above it is counted as `other` (default: {MODELS})",
        )
    else:
        yield ok(f"MaxModelsPerBackend is {most}", "the models of a backend above that are counted as `other`")


def _backend(backend: Resolved, settings: Settings) -> Iterator[Finding]:
    name = f"backend {backend.name!r}"
    if backend.url is None:
        yield warning(f"{name} has no BaseUrl, and its Type has none of its own", "set BaseUrl: no call can match it")
    if backend.source == UNKNOWN:
        model = repr(backend.model) if backend.model else "any model"
        yield warning(
            f"no price is known for {model} at {name}, so its calls count no cost",
            "set CostPerMillionInputTokens and CostPerMillionOutputTokens (0 for a model of your own)",
        )
    elif backend.prompt is None:
        yield ok(f"the price of {name} is the catalogue's, by the model asked for")
    else:
        yield ok(
            f"the price of {name} is {money(backend.prompt)} in and {money(backend.completion)} out, USD per million "
            f"tokens ({backend.source})",
            _compared(backend),
        )
    if backend.limit is not None:
        yield from _limit(name, backend, settings)


def _compared(backend: Resolved) -> str:
    """What to do about a price that is not the catalogue's. It may be right: prices are negotiated."""
    prompt, completion = backend.listed
    if (prompt, completion) in ((None, None), (backend.prompt, backend.completion)):
        return ""
    return f"the catalogue says {money(prompt)} in and {money(completion)} out: see which one you are billed"


def _limit(name: str, backend: Resolved, settings: Settings) -> Iterator[Finding]:
    limit = f"{name} has a limit of {money(backend.limit)} USD ({backend.window})"
    if backend.source == UNKNOWN and settings.budget.on_unknown_price is OnUnknownPrice.REFUSE:
        yield error(f"{limit} and no price, so its spend cannot be known", "set its price, or remove MaxSpendUsd")
        return
    ledger = settings.budget.ledger
    if ledger is None or ledger.startswith(("sqlite:", "memory:")):
        where = "in this process alone" if ledger == "memory://" else "on this machine alone"
        yield ok(f"{limit}, kept {where}", "several machines, or pods, share one by a redis:// Ledger")
    else:
        yield ok(f"{limit}, kept in Redis")
