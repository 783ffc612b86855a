"""The service tier that a call was served in, where that has a price of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

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

_KEYS = (b'"service_tier"', b'"serviceTier"', b'"speed"', b'"performanceConfig"')

_NAME = re.compile(r"[a-z0-9_-]{1,40}")


def tier_of(*said: Any) -> str | None:
    """The first of these that names a tier with a price of its own, in lower case; None: the standard one."""
    for value in said:
        if isinstance(value, str) and value and (name := value.lower()) not in STANDARD:
            return name if _NAME.fullmatch(name) else "other"
    return None


def asked_tier(body: bytes) -> str | None:
    """The tier that a request asks for by name; what a header or the account's own settings say is not seen."""
    if not any(key in body for key in _KEYS):
        return None
    fields = parse(body)
    if not isinstance(fields, Mapping):
        return None
    said = fields.get("serviceTier")
    latency = fields.get("performanceConfig")
    return tier_of(
        fields.get("service_tier"),
        said.get("type") if isinstance(said, Mapping) else said,
        fields.get("speed"),
        latency.get("latency") if isinstance(latency, Mapping) else None,
    )
