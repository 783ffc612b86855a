"""The documented maximum output of models, for the worst case of a request without a limit of its own.

As of 2026-11. Sources: platform.openai.com/docs/models (each model's page, "max output tokens") and
ai.google.dev/gemini-api/docs/models ("output token limit"). Anthropic's API requires a limit in each request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_DATED = r"(?:-\d{4}-\d\d-\d\d)?"

_ROWS: tuple[tuple[str, int, bool], ...] = (
    (rf"gpt-4o(?:-mini)?{_DATED}", 16_384, False),
    (rf"gpt-4\.1(?:-mini|-nano)?{_DATED}", 32_768, False),
    (rf"gpt-4-turbo{_DATED}", 4_096, False),
    (r"gpt-4(?:-0613)?", 8_192, False),
    (r"gpt-3\.5-turbo(?:-0125|-1106)?", 4_096, False),
    (rf"gpt-5(?:\.\d)?(?:-mini|-nano)?{_DATED}", 128_000, True),
    (rf"o1{_DATED}", 100_000, True),
    (rf"o(?:3|3-mini|4-mini){_DATED}", 100_000, True),
    (r"gemini-1\.5-(?:pro|flash|flash-8b)(?:-\d\d\d)?", 8_192, False),
    (r"gemini-2\.0-flash(?:-lite)?(?:-\d\d\d)?", 8_192, False),
    (r"gemini-2\.5-(?:pro|flash|flash-lite)", 65_536, True),
    (r"gemini-3(?:\.\d)?-(?:pro|flash)(?:-preview)?", 65_536, True),
)
"""Model, the most tokens of an answer, and whether some of them may be hidden, as reasoning is.

The names are whole: what is not here, such as a fine-tuned model, has no documented maximum.
"""

_TABLE = tuple((re.compile(pattern), most, hidden) for pattern, most, hidden in _ROWS)


def _row(models: Iterable[str | None]) -> tuple[int, bool] | None:
    names = [name.lower().removeprefix("models/") for name in models if name]
    return next(((most, hidden) for name in names for row, most, hidden in _TABLE if row.fullmatch(name)), None)


def max_output(*models: str | None) -> int | None:
    """Return the most tokens of an answer of the first of these models that is known; None if none is."""
    row = _row(models)
    return None if row is None else row[0]


def shows_all(*models: str | None) -> bool:
    """Return whether every token that is billed as output is in the answer; False for an unknown model."""
    row = _row(models)
    return row is not None and not row[1]
