"""Counting tokens, which no provider charges for: a call that uses nothing, and that is known.

https://docs.anthropic.com/en/docs/build-with-claude/token-counting, https://ai.google.dev/api/tokens,
https://docs.aws.amazon.com/bedrock/latest/userguide/count-tokens.html, https://docs.cohere.com/reference/tokenize,
https://platform.openai.com/docs/api-reference/responses/input-tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from llmmetrics.wire.format import FREE, NO_COMPLETION, Format


def counter(vendor: str, path: str, refusal: Callable[[str], Any]) -> Format:
    """Build the row of a vendor's paths that count tokens."""
    return Format(
        id=f"{vendor}.count_tokens",
        vendor=vendor,
        path=re.compile(path),
        fields=("error",),
        read=lambda body: FREE._replace(error=body.get("error")),
        free=True,
        refusal=refusal,
        output_limits=NO_COMPLETION,
    )
