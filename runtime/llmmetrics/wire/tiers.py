"""The service tier that a call was served in, where that has a price of its own."""

from __future__ import annotations

import re
from typing import Any

from llmmetrics.wire.format import Format, value_at
from llmmetrics.wire.frames import parse

STANDARD = frozenset(
    {
        *("default", "auto", "standard", "standard_only", "on_demand", "unspecified", "traffic_type_unspecified"),
        "service_tier_unspecified",
    }
)
"""What providers call the tier that their listed prices are of. `auto` is what was asked for and not decided yet.

https://platform.openai.com/docs/api-reference/chat/create, https://docs.anthropic.com/en/api/service-tiers,
https://console.groq.com/docs/service-tiers, https://ai.google.dev/gemini-api/docs/flex-inference,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ServiceTier.html
"""

_NAME = re.compile(r"[a-z0-9_-]{1,40}")


def tier_of(*said: Any) -> str | None:
    """The first of these that names a tier with a price of its own, in lower case; None: the standard one."""
    for value in said:
        if isinstance(value, str) and value and (name := value.lower()) not in STANDARD:
            return name if _NAME.fullmatch(name) else "other"
    return None


def asked_tier(format: Format, body: bytes) -> str | None:
    """Return the tier that a request names in its body. Headers and the account's settings are not read."""
    if not any(f'"{place[0]}"'.encode() in body for place in format.tier_names):
        return None
    fields = parse(body)
    return tier_of(*(value_at(fields, place) for place in format.tier_names))
