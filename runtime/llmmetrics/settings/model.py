"""The settings, as the guide writes them: `LlmSettings` with `Telemetry`, `Backends`, `Health` and `Budget`.

Keys are accepted in PascalCase and in snake_case. `llmmetrics.settings.loading` reads a document and reports errors.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from llmmetrics.settings.attribution import Attribution
from llmmetrics.settings.fields import Limit, SpendWindows, enum_of
from llmmetrics.settings.rates import BUCKETS, Prices, Section


class BackendType(StrEnum):
    """The guide's backend types."""

    OPENAI = "OpenAI"
    AZURE_OPENAI = "AzureOpenAI"
    ANTHROPIC = "Anthropic"
    GEMINI = "Gemini"
    COHERE = "Cohere"
    OLLAMA = "Ollama"
    LM_STUDIO = "LMStudio"
    GENERIC_OPENAI = "GenericOpenAI"


class BudgetMode(StrEnum):
    """What happens at a limit: only counting, a refusal once the limit is spent, or a reservation before each call."""

    SHADOW = "shadow"
    DOCUMENTED = "documented"
    STRICT = "strict"


class Durability(StrEnum):
    """How safely a booking is stored: `full` waits for an SQLite file's disk, `replicated` for a replica of Redis."""

    NORMAL = "normal"
    FULL = "full"
    REPLICATED = "replicated"


class OnLedgerError(StrEnum):
    """What happens to calls while the ledger cannot be reached."""

    REFUSE = "refuse"
    ADMIT = "admit"


class OnUnknownPrice(StrEnum):
    """What happens to a call without a known price on a limited backend."""

    REFUSE = "refuse"
    WARN = "warn"


class OnUnknownUsage(StrEnum):
    """What is booked for a call that was sent, and whose answer does not say what it used, or did not come."""

    WORST_CASE = "worst_case"
    ESTIMATE = "estimate"


class OnBudgetExceeded(StrEnum):
    """How a refusal reaches the caller."""

    RAISE = "raise"
    RESPOND = "respond"


def _http_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
        good = good and url.isprintable() and " " not in url
    except ValueError:
        good = False
    if not good:
        raise ValueError("should be a URL that starts with http:// or https://")
    return url.rstrip("/")


Name = Annotated[str, Field(min_length=1, max_length=200)]
Share = Annotated[Decimal, Field(gt=0, le=10, allow_inf_nan=False)]
Bound = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Url = Annotated[str, AfterValidator(_http_url)]


class Telemetry(Section):
    """What is exported and logged."""

    enable_metrics: bool = True
    log_token_counts: bool = False
    """One line a call on the logger `llmmetrics.calls`: tokens and cost, no content."""
    log_timing: bool = False
    """One line a call on the logger `llmmetrics.calls`: its duration."""
    duration_buckets: tuple[Bound, ...] = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60)
    """Upper bounds of the duration histogram, in seconds."""
    max_models_per_backend: int = Field(default=100, ge=1)
    """How many distinct `model` labels a backend may have; the rest is counted as `other`."""
    service_name: Name = "default"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        bounds = self.duration_buckets
        if not bounds or list(bounds) != sorted(set(bounds)):
            raise ValueError("DurationBuckets should be seconds in increasing order, each once")
        return self


class Health(Section):
    """When a backend counts as unhealthy, after so many failed calls in a row, and as healthy again."""

    unhealthy_threshold: int = Field(default=3, ge=1)
    healthy_threshold: int = Field(default=2, ge=1)
    probe_seconds: Bound = 10
    """How long a failover leaves an unhealthy backend alone between two tries."""


class Budget(Section):
    """How limits are enforced; each backend has its own limit."""

    ledger: str | None = Field(default=None, repr=False)
    """The URL of the ledger. It may hold a password, so repr does not show it."""
    mode: Annotated[BudgetMode, enum_of(BudgetMode)] = BudgetMode.DOCUMENTED
    namespace: Name | None = None
    """The prefix of the keys in the ledger; None: the `ServiceName`."""
    lease_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 60
    """How long a reservation lasts after its process has ended, in seconds."""
    durability: Annotated[Durability, enum_of(Durability)] = Durability.NORMAL
    on_ledger_error: Annotated[OnLedgerError, enum_of(OnLedgerError)] = OnLedgerError.REFUSE
    on_unknown_price: Annotated[OnUnknownPrice, enum_of(OnUnknownPrice)] = OnUnknownPrice.REFUSE
    on_unknown_usage: Annotated[OnUnknownUsage | None, enum_of(OnUnknownUsage)] = None
    """None: `worst_case` in mode `strict`, `estimate` in the others."""
    on_budget_exceeded: Annotated[OnBudgetExceeded | None, enum_of(OnBudgetExceeded)] = None
    """None: `respond` for an SDK, `raise` for plain httpx code."""
    spend_alerts: tuple[Share, ...] = ()
    """Shares of a limit: 0.8 is 80 %."""

    @property
    def books_worst_cases(self) -> bool:
        """Whether a call of unknown usage is booked at its worst case."""
        if self.on_unknown_usage is None:
            return self.mode is BudgetMode.STRICT
        return self.on_unknown_usage is OnUnknownUsage.WORST_CASE


class Backend(Prices, SpendWindows):
    """One backend: its URL, models, prices and limit."""

    name: Name
    type: Annotated[BackendType, enum_of(BackendType)] = BackendType.OPENAI
    """By default OpenAI, as in the guide's shortest example."""
    model_name: Name | None = None
    deployment_name: Name | None = None
    base_url: Url | None = Field(default=None, repr=False)
    """Its URL; None: the type's public URL. It may hold a password, so repr does not show it."""
    api_key: SecretStr | None = None
    inject_stream_usage: bool = False
    """Whether to request the usage of streams in OpenAI-compatible formats, and hide it from the caller."""
    max_spend_usd: Limit | None = None
    """USD in one window; None: no limit."""
    worst_output_tokens: int | None = Field(default=None, ge=1)
    """The most output tokens of a call whose request has no limit and whose model has no documented maximum."""

    @model_validator(mode="after")
    def _prices_go_together(self) -> Self:
        prompt, completion = self.cost_per_million_input_tokens, self.cost_per_million_output_tokens
        if (prompt is None) != (completion is None):
            missing = "CostPerMillionInputTokens" if prompt is None else "CostPerMillionOutputTokens"
            raise ValueError(f"{missing} is missing: set the prices of input and output together")
        if prompt is None and self.usd:
            first = next(name for name, bucket in BUCKETS.items() if bucket in self.usd)
            raise ValueError(
                f"{type(self).model_fields[first].alias} needs CostPerMillionInputTokens and CostPerMillionOutputTokens"
            )
        return self

    @property
    def base_url_or_default(self) -> str | None:
        """Its own URL, else the type's public one; None if the type has none."""
        return self.base_url or DEFAULT_URLS.get(self.type)


DEFAULT_URLS: dict[BackendType, str] = {
    BackendType.OPENAI: "https://api.openai.com",
    BackendType.ANTHROPIC: "https://api.anthropic.com",
    BackendType.GEMINI: "https://generativelanguage.googleapis.com",
    BackendType.COHERE: "https://api.cohere.com",
    BackendType.OLLAMA: "http://localhost:11434",
    BackendType.LM_STUDIO: "http://localhost:1234",
}


class Settings(Section):
    """The content of `LlmSettings`."""

    # their validators are built within that of `Settings`, with the first document, and not with the import
    telemetry: Telemetry = Telemetry.model_construct()
    health: Health = Health.model_construct()
    budget: Budget = Budget.model_construct()
    attribution: Attribution = Attribution.model_construct()
    backends: tuple[Backend, ...] = ()
    price_file: str | None = Field(default=None, min_length=1)
    """The path of the user's price file, JSON or YAML; in a settings file, relative to it."""
    refresh_prices: bool = False
    """Whether to fetch the price catalogue every hour."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        # named by position: a name may have come from the environment
        first: dict[str, int] = {}
        for index, backend in enumerate(self.backends):
            other = first.setdefault(backend.name, index)
            if other != index:
                raise ValueError(
                    f"Backends[{other}] and Backends[{index}] have the same Name: give each backend its own"
                )
        return self
