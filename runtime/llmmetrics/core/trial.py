"""One try of a failover: the backend that its requests belong to, and how the last of them ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmmetrics.core.health import verdict
from llmmetrics.core.routes import Place
from llmmetrics.errors import BudgetExceeded
from llmmetrics.reading.error_types import is_pool_timeout
from llmmetrics.reading.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping


class Trial:
    """The requests of a context that has this trial belong to `backend`.

    A call reports to the trial in which it began, also if it ends later.
    """

    refused: BudgetExceeded | None = None
    """The refusal of its last request."""
    healthy: bool | None = None
    """Whether its last request speaks for the backend; None if it says nothing, or there was none."""
    reason = ""
    """The error type of its last request, if the request speaks against the backend."""
    headers: Mapping[str, str] | None = None
    """The headers of the last answer."""
    duration: float | None = None
    """Seconds that the last request took."""
    seen = False
    """Whether the meter has seen a request of it."""

    def __init__(self, engine: Any, backend: str) -> None:
        self.engine = engine
        self.backend = backend

    def place(self, engine: object, place: Place) -> Place:
        """Return the place with this try's backend, if the try belongs to this engine."""
        if engine is not self.engine:
            return place
        self.seen = True
        return (*place[:5], self.backend)

    def ended(
        self,
        outcome: Outcome,
        http_status: int | None,
        headers: Mapping[str, str] | None,
        duration: float,
        exception: BaseException | None,
    ) -> None:
        """Note how a request of this try ended; `duration` is in seconds."""
        self.healthy = verdict(outcome.status, outcome.error, http_status, pool=is_pool_timeout(exception))
        self.reason = outcome.error.value if outcome.error is not None else ""
        self.headers = headers
        self.duration = duration
