"""Counting tokens, which no provider charges for: a call that uses nothing, and that is known.

https://docs.anthropic.com/en/docs/build-with-claude/token-counting, https://ai.google.dev/api/tokens,
https://docs.aws.amazon.com/bedrock/latest/userguide/count-tokens.html, https://docs.cohere.com/reference/tokenize,
https://platform.openai.com/docs/api-reference/responses/input-tokens.
"""

from __future__ import annotations

import re

from llmmetrics.wire.format import FREE, Format

_PATHS = {
    "anthropic": r"/v1/messages/count_tokens/?$|/anthropic/models/count-tokens:rawPredict$",
    "openai": r"/responses/input_tokens/?$",
    "gemini": r"/(?:tunedModels|models|endpoints)/(?P<model>[^/:]+):(?:countTokens|computeTokens)$",
    "aws-bedrock": r"/model/(?P<model>.+)/count-tokens$",
    "cohere": r"cohere.*/v1/tokenize/?$",
    "x-ai": r"/v1/tokenize-text/?$",
}
"""By whose they are, the paths that count."""

FORMATS = tuple(
    Format(
        id=f"{vendor}.count_tokens",
        vendor=vendor,
        path=re.compile(path),
        fields=("error",),
        read=lambda body: FREE._replace(error=body.get("error")),
    )
    for vendor, path in _PATHS.items()
)
