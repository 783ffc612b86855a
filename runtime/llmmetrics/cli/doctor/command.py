"""`llmmetrics doctor`: why metrics or costs may be missing or wrong, and what to do.

`docs/troubleshooting.md` lists its lines.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress

from llmmetrics.cli.doctor import endpoint, environment
from llmmetrics.cli.output.findings import Exit, Finding, Level, error, ok, warning
from llmmetrics.cli.output.summary import UNKNOWN, Resolved, resolved
from llmmetrics.cli.output.tables import money, number
from llmmetrics.core.preflight import faults
from llmmetrics.errors import ConfigError
from llmmetrics.settings.loading import UnreadableSettingsError, load
from llmmetrics.settings.model import Settings, Telemetry

MANY_MODELS = 1000

MODELS = Telemetry().max_models_per_backend


def run(source: str | None, port: int) -> Exit:
    """Print one line for each finding; return the exit status. A warning is not a failure."""
    status = Exit.FINE
    try:
        for finding in findings(source, port):
            if finding.level is Level.ERROR:
                status = Exit.FINDINGS
            sys.stdout.write(f"{finding}\n")
    except UnreadableSettingsError as exc:
        sys.stdout.write(f"{error(str(exc))}\n")
        status = Exit.CANNOT_LOOK
    return status


def findings(source: str | None, port: int) -> Iterator[Finding]:
    """Check this Python, this port and these settings.

    Raises `UnreadableSettingsError` after all other findings.
    """
    yield from environment.sdks()
    yield from environment.encodings()
    yield from environment.processes()
    yield from endpoint.port(port)
    yield from of_settings(source)


def of_settings(source: str | None) -> Iterator[Finding]:
    """Check a settings file. Raises `UnreadableSettingsError`."""
    if source is None:
        yield ok("no settings given", "`llmmetrics doctor SETTINGS` checks them too")
        return
    try:
        settings = load(source)
    except UnreadableSettingsError:
        raise
    except ConfigError as exc:
        # with several errors, the first line is only a heading
        first, *several = str(exc).splitlines()
        yield from (error(each.strip()) for each in several or [first])
        return
    yield ok(f"{source} is valid, with {number(len(settings.backends), 'backend')}")
    wrong = [*faults(settings)]
    yield from map(error, wrong)
    yield from _telemetry(settings.telemetry)
    if not settings.backends:
        yield warning(
            "no Backends are configured, so calls are counted under the provider's name, at catalogue prices",
            "name them under LlmSettings.Backends",
        )
    # a wrong price file is already among the faults, and prices cannot be resolved without it
    with suppress(ConfigError):
        for backend in resolved(settings):
            yield from _backend(backend)
            # with a fault in the settings, the place of the ledger is not certain
            if backend.limit is not None and not wrong:
                yield from _limit(backend, settings)


def _telemetry(telemetry: Telemetry) -> Iterator[Finding]:
    if not telemetry.enable_metrics:
        yield error("Telemetry.EnableMetrics is false, so nothing is exported", "set it to true")
    if telemetry.log_token_counts:
        yield ok("LogTokenCounts is on", "the logger llmmetrics.calls logs each call's tokens and cost at INFO")
    else:
        yield ok(
            "LogTokenCounts is off",
            "set it to true to check costs: it logs one line for each call, with tokens and cost",
        )
    most = telemetry.max_models_per_backend
    if most > MANY_MODELS:
        yield warning(
            f"MaxModelsPerBackend is {most}: dynamic model names may make too many time series",
            f"lower it (default: {MODELS}): each model has 20 to 35 series; further models are counted as `other`",
        )
    else:
        yield ok(f"MaxModelsPerBackend is {most}", "further models of a backend are counted as `other`")


def _backend(backend: Resolved) -> Iterator[Finding]:
    name = f"backend {backend.name!r}"
    if backend.url is None:
        yield warning(
            f"{name} has no BaseUrl, and its Type has no default", "set BaseUrl: without it no call can match"
        )
    if backend.source == UNKNOWN:
        model = repr(backend.model) if backend.model else "any model"
        yield warning(
            f"no price is known for {model} at {name}, so its calls count no cost",
            "set CostPerMillionInputTokens and CostPerMillionOutputTokens (0 for a model of your own)",
        )
    elif backend.prompt is None:
        yield ok(f"the price of {name} comes from the catalogue, by the model of each call")
    else:
        yield ok(
            f"the price of {name} is {money(backend.prompt)} in and {money(backend.completion)} out, USD per million "
            f"tokens ({backend.source})",
            _compared(backend),
        )


def _compared(backend: Resolved) -> str:
    """Compare a price with the catalogue's. A difference may be right: some prices are negotiated."""
    prompt, completion = backend.listed
    if (prompt, completion) in ((None, None), (backend.prompt, backend.completion)):
        return ""
    return f"the catalogue says {money(prompt)} in and {money(completion)} out: check which price is on your bill"


def _limit(backend: Resolved, settings: Settings) -> Iterator[Finding]:
    limit = f"backend {backend.name!r} has a limit of {money(backend.limit)} USD ({backend.window})"
    ledger = settings.budget.ledger
    if ledger is None or ledger.startswith(("sqlite:", "memory:")):
        where = "in this process only" if ledger == "memory://" else "on this machine only"
        yield ok(f"{limit}, kept {where}", "to share it between machines or pods, use a redis:// Ledger")
    else:
        yield ok(f"{limit}, kept in Redis")
