"""Refreshes the price catalogue with genai-prices' own updater, in a thread. Never in a test."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from threading import Event, Thread
from typing import Any
from weakref import WeakMethod, finalize

EVERY = 3600.0
"""Seconds between two fetches."""


def under_test(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether pytest runs this process. https://docs.pytest.org/en/stable/reference/reference.html#environment-variables."""
    return not environ.keys().isdisjoint({"PYTEST_VERSION", "PYTEST_CURRENT_TEST"})


class Refresh:
    """Fetches the catalogue now and every hour, until `close` or until the object is dropped.

    An error is passed to `failed`, a bound method; the prices stay as they are.
    """

    def __init__(self, failed: Callable[[Exception], None], **options: Any) -> None:
        self._failed = WeakMethod(failed)
        self._options = options
        """Options of genai-prices' `UpdatePrices`."""
        self.start()

    def start(self) -> None:
        """Start the thread; a forked process has to start it again."""
        stop = Event()
        self.close = finalize(self, stop.set)
        args = (self._failed, self._options, stop)
        Thread(target=_keep_fresh, args=args, name="llmmetrics-prices", daemon=True).start()


def _keep_fresh(failed: WeakMethod[Callable[[Exception], None]], options: Mapping[str, Any], stop: Event) -> None:
    from genai_prices.data_snapshot import set_custom_snapshot
    from genai_prices.update_prices import UpdatePrices

    while not stop.is_set():
        try:
            if snapshot := UpdatePrices(**options).fetch():
                set_custom_snapshot(snapshot)
        except Exception as exc:
            if tell := failed():
                tell(exc)
        stop.wait(EVERY)
