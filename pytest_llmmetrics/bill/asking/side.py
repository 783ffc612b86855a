"""The asked side of a row: the sums of what its requests ask for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from pytest_llmmetrics.bill.asking.caches import Served, simulate
from pytest_llmmetrics.bill.asking.reading import Demand

Count = Annotated[int, Field(ge=0)]
Tokens = dict[str, Annotated[int, Field(gt=0)]]

KEPT = 8
"""The number of fingerprints that a row keeps: the smallest ones, so that two rows of the same requests agree."""


class AskedSide(BaseModel):
    """What the calls of a row ask for. Tokens are estimates, by the runtime's own estimator."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: Count = 0
    segments: Tokens = {}
    """The prompt by segment: `system`, `tool "search"`, `user`, `tool results`, `images and files`."""
    limits: Tokens = {}
    """How many calls have each output limit; `none`: without a limit."""
    marks: Count = 0
    """Cache marks of all calls."""
    clocks: Count = 0
    """Calls whose system prompt or tools say the present time."""
    later: Count = 0
    """Prompt tokens of the calls that follow another one to the same model."""
    cacheable: Count = 0
    """How many of them a prompt cache could serve, by the provider's rules."""
    shared: Count = 0
    """How many of them are in a prefix that an earlier call has."""
    carried: Count = 0
    """The number of calls that carry the same tool result, at most."""
    unread: Count = 0
    """Requests that cannot be read."""
    requests: Tokens = {}
    """How many calls have each fingerprint, of the smallest fingerprints."""


class AskedCall(NamedTuple):
    """What one call asks for, and what it says of the reasons."""

    side: AskedSide
    difference: str = ""
    """Where its prefix differs from that of the calls before."""
    clock: str = ""
    """Where it says the present time."""


def sides_of(demands: Sequence[Demand]) -> list[AskedCall]:
    """Return what each call of one test asks for; they are in the order in which they were sent."""
    carried: dict[str, int] = {}
    calls = []
    for demand, served in zip(demands, simulate(demands), strict=True):
        for each in set(demand.results):
            carried[each] = carried.get(each, 0) + 1
        calls.append(_call(demand, served, max((carried[each] for each in demand.results), default=0)))
    return calls


def _call(demand: Demand, served: Served, carried: int) -> AskedCall:
    if not demand.fingerprint:
        return AskedCall(AskedSide(unread=1))
    side = AskedSide(
        prompt=demand.prompt,
        segments=dict(demand.segments),
        limits={demand.limit: 1} if demand.limit else {},
        marks=demand.marks,
        clocks=int(bool(demand.clock)),
        later=0 if served.first else demand.prompt,
        cacheable=served.read,
        shared=served.shared,
        carried=carried,
        requests={demand.fingerprint: 1},
    )
    return AskedCall(side, served.difference, demand.clock)


_COUNTS = ("prompt", "marks", "clocks", "later", "cacheable", "shared", "unread")


def total(sides: Iterable[AskedSide | None]) -> AskedSide | None:
    """Add asked sides; None if there is none."""
    every = [each for each in sides if each is not None]
    if len(every) < 2:
        return every[0] if every else None
    requests = _joined(each.requests for each in every)
    return AskedSide(
        **{name: sum(getattr(each, name) for each in every) for name in _COUNTS},
        segments=_joined(each.segments for each in every),
        limits=_joined(each.limits for each in every),
        carried=max(each.carried for each in every),
        requests=dict(sorted(requests.items())[:KEPT]),
    )


def _joined(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    joined: dict[str, int] = {}
    for part in parts:
        for name, n in part.items():
            joined[name] = joined.get(name, 0) + n
    return dict(sorted(joined.items()))
