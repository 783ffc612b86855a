"""Errors inside a 200 that are no `error` object: other vendors' envelopes, and JSON that is no answer at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from llmmetrics.reading.error_types import ErrorType
from llmmetrics.wire.format import Format
from llmmetrics.wire.framing.body_buffer import Body
from llmmetrics.wire.framing.frames import Doc, first_events, is_stream

# https://platform.minimax.io/docs/api-reference/errorcode
_MINIMAX = {1002: ErrorType.RATE_LIMIT, 1039: ErrorType.RATE_LIMIT, 1004: ErrorType.AUTH, 2049: ErrorType.AUTH}
# https://docs.z.ai/api-reference/api-code
_ZAI = {
    **dict.fromkeys((401, 1000, 1001, 1002, 1003, 1004), ErrorType.AUTH),
    **dict.fromkeys((429, 1113, 1302, 1303, 1304, 1305, 1308, 1310), ErrorType.RATE_LIMIT),
}
# https://cloud.baidu.com/doc/WENXINWORKSHOP/s/tlmyncueh
_QIANFAN = {
    **dict.fromkeys((6, 13, 14, 110, 111), ErrorType.AUTH),
    **dict.fromkeys((4, 17, 18, 19, 336501, 336502), ErrorType.RATE_LIMIT),
}
_ENVELOPES: tuple[tuple[tuple[str, ...], str, dict[int, ErrorType]], ...] = (
    (("base_resp", "status_code"), "", _MINIMAX),
    (("error_code",), "error_msg", _QIANFAN),
    (("code",), "msg", _ZAI),
    (("code",), "message", {}),
)
"""Errors that are no `error` object: where the code stands, what stands with it, and what the codes mean."""

_FINE = frozenset({"0", "200"})
"""What says in such an envelope that nothing went wrong."""


def envelope_error(body: Any) -> ErrorType | None:
    """The error type of an answer that is an error in another vendor's envelope; None if it is none."""
    if not isinstance(body, dict):
        return None
    for path, companion, meanings in _ENVELOPES:
        value: Any = body
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        digits = str(value)
        if isinstance(value, str | int) and digits not in _FINE and (not companion or companion in body):
            return meanings.get(int(digits) if digits.isdecimal() else 0, ErrorType.UNKNOWN)
    return None


_TELLS = re.compile(r"(?i)err|code|msg|message|status|success|detail|fault|reason|^(?:ok|ret|response)$")
"""The names of fields that tell of an error; what has none of them may be a mock's own JSON."""


def foreign_error(format: Format, body: Body, docs: Sequence[Doc], *, usage: bool) -> ErrorType | None:
    """The error type of a body that is no answer of its format; None if it is one.

    `docs` holds the only document of the body, if it has only one; `usage`: it has a usage, perhaps of no tokens.
    """
    for doc in docs or (first_events(body, 1) if is_stream(body.head or body.tail) else ()):
        if error := envelope_error(doc):
            return error
    if not docs or not format.members or usage:
        return None
    values = {name: value for name, value in docs[0].items() if value is not None}
    if values.keys().isdisjoint(format.members) and (not values or any(map(_TELLS.search, values))):
        return ErrorType.UNKNOWN
    return None
