"""Returns a refusal to the caller: as an exception, or as the provider's HTTP 402, which no SDK retries.

SDKs wrap and retry exceptions of a transport: an exception alone would be slow and would hide the reason.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from llmmetrics.errors import BudgetExceeded
from llmmetrics.settings.model import OnBudgetExceeded
from llmmetrics.wire import openai
from llmmetrics.wire.format import Format

HEADER = "x-llmmetrics-budget-exceeded"
"""The header that carries the details: some SDKs' exceptions do not keep the body."""

_recent: deque[BudgetExceeded] = deque(maxlen=64)
"""The last refusals: some frameworks' exceptions keep only the text of an SDK's exception."""

# `re` compiles it with the first refusal, and keeps it
_SDK = r"(?i)openai/|anthropic|mistral|google-genai|cohere|ollama-python|groq|together|huggingface|litellm"
_SDK_HEADERS = ("x-stainless-lang", "x-goog-api-client", "x-fern-language", "amz-sdk-invocation-id")


def is_sdk(headers: Any) -> bool:
    """Return whether an SDK sends a request with these headers, and so interprets its answer."""
    return any(name in headers for name in _SDK_HEADERS) or re.search(_SDK, headers.get("user-agent", "")) is not None


def answer(how: OnBudgetExceeded | None, library: Any, request: Any, format: Format, exceeded: BudgetExceeded) -> Any:
    """Make the response of this HTTP library for a refusal, or raise it, by the settings and the caller."""
    if how is OnBudgetExceeded.RAISE or (how is None and not is_sdk(request.headers)):
        raise exceeded
    _recent.append(exceeded)
    response = library.Response(
        402,
        headers={HEADER: _packed(exceeded), "x-should-retry": "false", **dict(format.refusal_headers)},
        json=(format.refusal or openai.refusal)(str(exceeded)),
        request=request,
    )
    # a client that is instrumented above its transports does not set this
    response.elapsed = timedelta(0)
    return response


def _packed(exceeded: BudgetExceeded) -> str:
    def plain(value: Any) -> str:
        return value.isoformat() if isinstance(value, datetime) else str(value)

    return json.dumps(exceeded.args, default=plain)


def _unpacked(text: str) -> BudgetExceeded:
    backend, reason, spent, reserved, limit, start, end, could_cost, most, name, worst_case, *run = json.loads(text)
    return BudgetExceeded(
        backend,
        reason,
        Decimal(spent),
        Decimal(reserved),
        Decimal(limit),
        datetime.fromisoformat(start),
        datetime.fromisoformat(end) if end else None,
        None if could_cost is None else Decimal(could_cost),
        most,
        name,
        None if worst_case is None else Decimal(worst_case),
        *run,
    )


def budget_exceeded(exc: BaseException | None) -> BudgetExceeded | None:
    """Return the `BudgetExceeded` behind an exception of an SDK or a framework; None if it has another reason."""
    causes = list(_causes(exc))
    for each in causes:
        if isinstance(each, BudgetExceeded):
            return each
        for holder in (each, getattr(each, "response", None), getattr(each, "raw_response", None)):
            headers = _headers(holder)
            if headers is not None and (text := dict(headers).get(HEADER)):
                return _unpacked(text)
    recent = _recent.copy()
    return next((one for each in causes for one in reversed(recent) if str(one) in str(each)), None)


def _headers(holder: Any) -> Any:
    """Return an answer's headers; botocore's exceptions hold the answer as a dict."""
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
            if isinstance(each, BaseExceptionGroup):
                queue += each.exceptions
