"""The service tier of a call, if it has a price of its own."""

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


def asked_tier(format: Format, body: bytes) -> str | None:
    """Return the tier that a request names in its body. Headers and the account's settings are not read."""
    if not any(f'"{place[0]}"'.encode() in body for place in format.tier_names):
        return None
    fields = parse(body)
    return tier_of(*(value_at(fields, place) for place in format.tier_names))
