"""One wire format: a row of the table in `llmmetrics.wire`, and helpers for reading values."""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from llmmetrics.wire.families import ModelFamily
from llmmetrics.wire.framing.frames import Doc
from llmmetrics.wire.framing.headers import NAME, lower_names
from llmmetrics.wire.hosts import Hosts
from llmmetrics.wire.later import Batch, LaterAnswer
from llmmetrics.wire.usage import Usage, usage_of


class Charge(NamedTuple):
    """A part of a call with its own price. `model` None: the model that answered."""

    model: str | None
    usage: Usage


class Reading(NamedTuple):
    """What a body carries. None: it does not carry the value."""

    model: str | None = None
    usage: Usage | None = None
    charges: tuple[Charge, ...] = ()
    """The parts that are priced, if they differ from `usage`."""
    wire_cost: Decimal | None = None
    """USD, as the provider put it on the wire; 0: nothing is billed, at any price."""
    error: Any = None
    """An error object inside the body."""
    tier: str | None = None
    """The service tier that answered, if it has a price of its own."""
    geo: str | None = None
    """The region that answered, if it has a price of its own."""
    later: LaterAnswer | None = None
    """What the body says of an answer that comes later, or that was made in the background."""


FREE = Reading(usage=usage_of({}), wire_cost=Decimal(0))
"""No tokens and no cost, both known."""


Place = tuple[str, ...]
"""Where a value stands in a JSON object: field names, the outermost first."""


class Billing(StrEnum):
    """How a path of a POST is billed, and what of it can be read."""

    READ = "read"
    """By usage, which the answer carries."""
    PIECE = "piece"
    """By piece, page, character or second, which the request or the answer tells."""
    UNKNOWN = "unknown"
    """By what neither the request nor the answer tells."""
    FREE = "free"
    """It costs nothing, and uses no tokens."""


COMPLETION_NAMES = frozenset({"content", "text"})
"""What most formats call the text that a model has written."""


class PromptNames(NamedTuple):
    """The fields of a request that hold its prompt. The model reads all text and media in them."""

    messages: tuple[str, ...] = ()
    """Fields with messages: a list of them, or the text of one."""
    system: tuple[str, ...] = ()
    """Fields with the instructions."""
    texts: tuple[str, ...] = ()
    """Other fields: a prompt without messages, inputs to embed, documents."""


class Format(NamedTuple):
    """A wire format. `read` gets a whole JSON body; a stream is merged into one first, see `part`."""

    id: str
    vendor: str
    """The company that made the format. An unknown host that speaks it is `<vendor>-compatible`."""
    path: re.Pattern[str]
    """Searched in host and path of a POST. The group `model` is the requested model; a group `stream` that matches
    means that the request asks for a stream."""
    fields: tuple[str, ...]
    """The fields of a body that `read` uses: the usage first, the error last. An event that is named `error` has its
    data under `error`, whatever the provider calls it."""
    read: Callable[[Doc], Reading]
    part: Callable[[Doc], Doc] = lambda event: event
    """Turn an event of a stream into a part of a whole body."""
    ended: Callable[[Doc], bool] = lambda _: False
    """Return whether an event is a stream's last one."""
    headers: Callable[[Mapping[str, str]], Usage | None] = lambda _: None
    """Read the usage from an answer's headers, with names in lower case, if the body has none."""
    tier: Callable[[Mapping[str, str]], str | None] | None = None
    """Read the tier from an answer's headers, if the format has it there and not in the body."""
    always_streams: bool = False
    """A request without the field `stream` asks for a stream."""
    short_at_ends: bool = False
    """The `fields` stand near the start and the end of an answer, in whose middle a long text is."""
    members: tuple[str, ...] = ()
    """Fields of an answer without usage: it has at least one of them. Empty: any JSON is an answer."""
    hosts: Hosts = ()
    """The hosts of the vendor, and of other providers that speak the format."""
    example: str = ""
    """A path that it claims, for the documentation."""
    note: str = ""
    """What is special about it, in a few words for the documentation."""
    usage_on_request: bool = False
    """A stream carries its usage only if the request has `stream_options.include_usage`."""
    billing: Billing = Billing.READ
    """How it is billed. `FREE`: a call costs a known 0, such as counting tokens."""
    providers: frozenset[str] = frozenset()
    """It claims its path only at these providers, because other servers have such a path too. Empty: on any host."""
    pieces: Callable[[Doc, Usage | None], tuple[Charge, ...]] | None = None
    """What a call is billed by, from the fields of the request and the usage that the answer says. Empty: by this
    usage; without it the call is uncounted. None: a call without usage is estimated from its text."""
    bound: Callable[[Doc, int], tuple[Charge, ...]] | None = None
    """The most that a request of these fields and of this size in bytes may be billed. Empty: that is not known. None:
    tokens, of which the text tells."""
    any_body: bool = False
    """An answer may be something else than JSON, such as sound."""
    refusal: Callable[[str], Any] | None = None
    """The JSON body of HTTP 402 with this message, in the provider's own shape of an error. None: OpenAI's shape."""
    refusal_headers: tuple[tuple[str, str], ...] = ()
    """The headers that belong to it."""
    output_limits: tuple[Place, ...] | None = None
    """Where a request limits its completion, in tokens. Empty: there is no completion. None: the names are not known,
    so that the worst case is the model's context window."""
    answer_counts: tuple[Place, ...] = ()
    """Where a request says how many completions it asks for."""
    tier_names: tuple[Place, ...] = ()
    """Where a request names the service tier."""
    model_names: tuple[str, ...] = ("model",)
    """The fields of a request that name the model, if the path does not."""
    geo_name: Place | None = None
    """Where a request names the region that is to answer, if it can."""
    prompt_names: PromptNames | None = None
    """The fields of a request that hold its prompt. Tokens are estimated from them if the wire carries no usage. None:
    the names of all formats in the table."""
    completion_names: frozenset[str] = COMPLETION_NAMES
    """The fields of an answer whose strings the model has written. Tokens are estimated from them if the wire carries
    no usage."""
    plain_prompt: bool = False
    """The model reads the text of the request as it is, without a frame of tokens for messages."""
    families: tuple[ModelFamily, ...] = ()
    """The vendor's models, each family with what it adds to an estimate."""
    fetched: re.Pattern[str] | None = None
    """Searched in host and path of a GET, or of a POST that cancels, of an answer that comes later. The group `id` is
    the answer's id."""
    listed: re.Pattern[str] | None = None
    """Searched in host and path of a GET that lists such answers."""
    deferred: bool = False
    """Every answer comes later, so that none carries its usage."""
    batch: Batch | None = None
    """How a batch is read, if an answer of the format is one."""


NO_COMPLETION: tuple[Place, ...] = ()
"""The output limits of formats that write no completion: embeddings, rerankers, counts."""


def counter(vendor: str, path: str, example: str, refusal: Callable[[str], Any], prompt_names: PromptNames) -> Format:
    """Build the row of a vendor's paths that count tokens, which no provider charges for."""
    return Format(
        id=f"{vendor}.count_tokens",
        vendor=vendor,
        path=re.compile(path),
        fields=("error",),
        read=lambda body: FREE._replace(error=body.get("error")),
        example=example,
        note="no tokens are used, and the cost is known: 0",
        billing=Billing.FREE,
        refusal=refusal,
        output_limits=NO_COMPLETION,
        prompt_names=prompt_names,
    )


class MalformedUsageError(ValueError):
    """An impossible count of tokens: negative, not a number, or above `MOST`."""


MOST = 10**9
"""No call has a billion tokens."""

MOST_USD = 10**5
"""No call costs that much."""


def count(value: Any) -> int:
    """Return a count of tokens; 0 for None.

    Raise `MalformedUsageError` for a value that is not a count.
    """
    if type(value) is int and 0 <= value < MOST:
        return value
    if value is None:
        return 0
    # Cohere sends whole numbers as floats
    if type(value) is float and 0 <= value < MOST and value.is_integer():
        return int(value)
    raise MalformedUsageError


_INTEGERS = {int}


def counts(*values: Any) -> Sequence[int]:
    """Return several counts, each as `count` reads it. This is the hot path."""
    if set(map(type, values)) == _INTEGERS and min(values) >= 0 and max(values) < MOST:
        return values
    return [count(each) for each in values]


def text(value: Any) -> str | None:
    """Return a non-empty string, or None."""
    return value if isinstance(value, str) and value else None


def items(value: Any) -> Sequence[Any]:
    """Return the JSON array, or an empty one."""
    return value if isinstance(value, list) else ()


def mapping(value: Any) -> Mapping[str, Any]:
    """Return the JSON object, or an empty one."""
    return value if isinstance(value, dict) else {}


def value_at(fields: Any, place: Place) -> Any:
    """Return the value at a place of a JSON object, or None."""
    for name in place:
        fields = fields.get(name) if isinstance(fields, dict) else None
    return fields


_TICK = Decimal("1e-10")
_COSTS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    # https://docs.x.ai/docs/key-information/consumption-and-rate-limits: ten billion ticks a dollar
    ("cost_in_usd_ticks", lambda value: Decimal(str(value)) * _TICK),
    # https://docs.perplexity.ai: an object; https://openrouter.ai/docs/use-cases/usage-accounting: a number
    ("cost", lambda value: mapping(value).get("total_cost") if isinstance(value, dict) else value),
    ("pydantic_ai_gateway", lambda value: mapping(value).get("cost_estimate")),
)


_COST_FIELDS = frozenset(name for name, _ in _COSTS)


_COST_HEADERS = frozenset([b"x-litellm-response-cost"])
"""Where gateways say the USD that an answer cost: https://docs.litellm.ai/docs/proxy/response_headers."""


def header_cost(headers: Mapping[str, str]) -> Decimal | None:
    """The cost of an answer in its headers, in USD; None if they do not say it, or say 0."""
    held = getattr(headers, "_list", None)
    if _COST_HEADERS.isdisjoint(lower_names(headers) if held is None else map(NAME, held)):
        return None
    for name in _COST_HEADERS:
        try:
            cost = Decimal(headers[name.decode()])
        except (KeyError, ArithmeticError):
            continue
        if cost.is_finite() and 0 < cost < MOST_USD:
            return cost
    return None


def wire_cost(usage: Mapping[str, Any]) -> Decimal | None:
    """Return the cost that the provider or gateway put on the wire, in USD; None if there is none, or 0.

    OpenRouter sends 0 for customers' own keys, and what the upstream provider charged in another field.
    """
    if _COST_FIELDS.isdisjoint(usage):
        return None
    for name, amount in _COSTS:
        if usage.get(name) is None:
            continue
        try:
            cost = Decimal(str(amount(usage[name])))
            if name == "cost" and usage.get("is_byok"):
                cost += Decimal(str(mapping(usage.get("cost_details")).get("upstream_inference_cost") or 0))
        except (ArithmeticError, ValueError):
            continue
        if cost.is_finite() and 0 < cost < MOST_USD:
            return cost
    return None
