"""What a meter says of itself: each thing once in the log, and its own errors in a counter as well."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from traceback import extract_tb

from llmmetrics.metrics.registry import Families

log = logging.getLogger("llmmetrics")

MOST_TOPICS = 1000
"""A topic may have a host's or a model's name in it, and of these there may be any number."""


class Diagnostics:
    """Warns, and swallows what fails inside a meter, so that it never reaches the user's call."""

    def __init__(self, families: Families) -> None:
        self._families = families
        self._said: set[str] = set()

    def say(self, topic: str, message: str) -> None:
        """Log a warning, once a topic."""
        if topic not in self._said and len(self._said) < MOST_TOPICS:
            self._said.add(topic)
            log.warning("%s", message)

    def swallow(self, where: str, exception: Exception) -> None:
        """Count an error of our own, log it once, and go on."""
        # a multiprocess directory that is gone fails this as well
        with suppress(Exception):
            self._families["internal"].labels(where).inc()
        if where not in self._said:
            self._said.add(where)
            # the exception's own text may hold what was read: where it was raised is what helps
            frames = extract_tb(exception.__traceback__)
            place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
            name = type(exception).__name__
            log.error("llmmetrics failed in %s (%s%s) and went on; the call is not harmed", where, name, place)

    def guarded(self, where: str, act: Callable[[], object]) -> None:
        """Do this, and swallow what it raises."""
        try:
            act()
        except Exception as exc:
            self.swallow(where, exc)
