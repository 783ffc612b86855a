"""How a refusal reaches the caller: raised, or as the provider's own HTTP 402, which no SDK retries.

SDKs wrap and retry what a transport raises, so that raising alone would neither be told nor be quick.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from llmmetrics.errors import BudgetExceeded
from llmmetrics.settings.model import OnBudgetExceeded
from llmmetrics.wire import openai
from llmmetrics.wire.format import Format

HEADER = "x-llmmetrics-budget-exceeded"
"""The one header that carries the details: not every SDK's exception keeps the body."""

_SDK = re.compile(
    r"openai/|anthropic|mistral|google-genai|cohere|ollama-python|groq|together|huggingface|litellm", re.IGNORECASE
)
_SDK_HEADERS = ("x-stainless-lang", "x-goog-api-client", "x-fern-language", "amz-sdk-invocation-id")


def is_sdk(headers: Any) -> bool:
    """Whether an SDK sends a request with these headers, which it will interpret the answer to."""
    return any(name in headers for name in _SDK_HEADERS) or _SDK.search(headers.get("user-agent", "")) is not None


def answer(how: OnBudgetExceeded | None, library: Any, request: Any, format: Format, exceeded: BudgetExceeded) -> Any:
    """The refusal as a response of this HTTP library, or raised, as the settings and the caller have it."""
    if how is OnBudgetExceeded.RAISE or (how is None and not is_sdk(request.headers)):
        raise exceeded
    response = library.Response(
        402,
        headers={HEADER: _packed(exceeded), "x-should-retry": "false", **dict(format.refusal_headers)},
        json=(format.refusal or openai.refusal)(str(exceeded)),
        request=request,
    )
    # a client that was instrumented above its transports does not time this one
    response.elapsed = timedelta(0)
    return response


def _packed(exceeded: BudgetExceeded) -> str:
    def plain(value: Any) -> str:
        return value.isoformat() if isinstance(value, datetime) else str(value)

    return json.dumps(exceeded.args, default=plain)


def _unpacked(text: str) -> BudgetExceeded:
    backend, reason, spent, reserved, limit, start, end = json.loads(text)
    return BudgetExceeded(
        backend,
        reason,
        Decimal(spent),
        Decimal(reserved),
        Decimal(limit),
        datetime.fromisoformat(start),
        datetime.fromisoformat(end) if end else None,
    )


def budget_exceeded(exc: BaseException | None) -> BudgetExceeded | None:
    """The `BudgetExceeded` behind an SDK's exception, or None where it has another reason."""
    for each in _causes(exc):
        if isinstance(each, BudgetExceeded):
            return each
        for holder in (each, getattr(each, "response", None), getattr(each, "raw_response", None)):
            headers = _headers(holder)
            if headers is not None and (text := dict(headers).get(HEADER)):
                return _unpacked(text)
    return None


def _headers(holder: Any) -> Any:
    """An answer's headers; botocore's exceptions have the answer as a dict."""
    if isinstance(holder, dict):
        about = holder.get("ResponseMetadata")
        return about.get("HTTPHeaders") if isinstance(about, dict) else None
    return getattr(holder, "headers", None)


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    queue = [exc]
    while queue:
        each = queue.pop(0)
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            queue += [each.__cause__, each.__context__]
