"""The service tier and the region of a call, if they have a price of their own."""

from __future__ import annotations

import re
from typing import Any

from llmmetrics.wire.format import Format, value_at
from llmmetrics.wire.framing.frames import parse

STANDARD = frozenset(
    {
        *("default", "auto", "standard", "standard_only", "on_demand", "unspecified", "traffic_type_unspecified"),
        "service_tier_unspecified",
    }
)
"""The providers' names of the tier that their listed prices are for. `auto` is a request that is not decided yet.

https://platform.openai.com/docs/api-reference/chat/create, https://docs.anthropic.com/en/api/service-tiers,
https://console.groq.com/docs/service-tiers, https://ai.google.dev/gemini-api/docs/flex-inference,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ServiceTier.html
"""

_NAME = re.compile(r"[a-z0-9_-]{1,40}")


def tier_of(*names: Any) -> str | None:
    """Return the first name of a tier with a price of its own, in lower case; None: the standard tier."""
    for value in names:
        if isinstance(value, str) and value and (name := value.lower()) not in STANDARD:
            return name if _NAME.fullmatch(name) else "other"
    return None


_WORLD = frozenset({"global", "not_available"})


def region_of(value: Any) -> str | None:
    """Return a region with a price of its own: https://platform.claude.com/docs/en/manage-claude/data-residency."""
    # a recording may have a placeholder there
    known = isinstance(value, str) and value not in _WORLD and _NAME.fullmatch(value)
    return value if known else None


def asked_region(format: Format, body: bytes) -> str | None:
    """Return the region that a request names in its body, also the whole world; None if it names none."""
    if format.geo_name is None or f'"{format.geo_name[0]}"'.encode() not in body:
        return None
    value = value_at(parse(body), format.geo_name)
    return value if isinstance(value, str) and value else None


def asked_tier(format: Format, body: bytes) -> str | None:
    """Return the tier that a request names in its body. Headers and the account's settings are not read."""
    if not any(f'"{place[0]}"'.encode() in body for place in format.tier_names):
        return None
    fields = parse(body)
    return tier_of(*(value_at(fields, place) for place in format.tier_names))
