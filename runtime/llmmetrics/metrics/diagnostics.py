"""Logs each warning once; counts and swallows internal errors."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from traceback import extract_tb

from llmmetrics.metrics.registry import Families

log = logging.getLogger("llmmetrics")

MOST_TOPICS = 1000
"""Maximum number of topics: they may contain names of hosts or models, which are unlimited."""


class Diagnostics:
    """Logs warnings, and swallows errors inside a meter, so that they never reach the user's call."""

    def __init__(self, families: Families) -> None:
        self._families = families
        self._said: set[str] = set()

    def say(self, topic: str, message: str) -> None:
        """Log a warning, once for each topic."""
        if topic not in self._said and len(self._said) < MOST_TOPICS:
            self._said.add(topic)
            log.warning("%s", message)

    def swallow(self, where: str, exception: Exception) -> None:
        """Count an internal error, and log it once."""
        # this fails too if the multiprocess directory was removed
        with suppress(Exception):
            self._families["internal"].labels(where).inc()
        if where not in self._said:
            self._said.add(where)
            # the exception's text may hold content of the call: log where it was raised instead
            frames = extract_tb(exception.__traceback__)
            place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
            name = type(exception).__name__
            log.error(
                "internal error of llmmetrics in %s (%s%s): the call is not affected, but it may be counted wrongly",
                where,
                name,
                place,
            )

    def guarded(self, where: str, act: Callable[[], object]) -> None:
        """Call `act`, and swallow its exception."""
        try:
            act()
        except Exception as exc:
            self.swallow(where, exc)
