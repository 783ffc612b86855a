"""Tags: whose call it is. The caller sets them around calls; metrics and sums of their own are kept by tag."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from threading import RLock
from typing import TYPE_CHECKING, Self

from llmmetrics.core.context import CallContext, Scope, TagSet
from llmmetrics.errors import ConfigError
from llmmetrics.metrics.batching import TOKEN_TYPES
from llmmetrics.metrics.registry import BATCH, Families
from llmmetrics.pricing.price import ATTO
from llmmetrics.settings.attribution import LONGEST, Attribution, shown
from llmmetrics.wire.usage import Usage

if TYPE_CHECKING:
    from llmmetrics.budgets.tag_sums import TagSums
    from llmmetrics.budgets.worker import Worker

_Sums = Mapping[tuple[str, str, str], int]
"""By key, label and backend."""

TaggedCall = tuple[Sequence[tuple[str, str]], str, Usage | None, int | None, float | None]
"""A finished call: tags, backend, usage, attodollars if a price is known; the second since 1970 in which it ended, if a
ledger adds it up."""

MOST_LOGGED = 10
"""Keys that are logged because the settings do not count them, at most: keys may come from data."""

OTHER = "other"
"""The label of the values after the first `MaxValues` of a key."""


class TagScope(Scope):
    """The scope that `tags` makes."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__()
        self._values = values

    def changed(self, context: CallContext) -> CallContext:
        return context._replace(tags=TagSet({**context.tags, **self._values}))

    def fresh(self) -> Self:
        return type(self)(self._values)


def tags(**values: str) -> TagScope:
    """Tag the calls of a `with` block or of a decorated function.

    A key is the name of an argument: feature="search", tenant="acme".

    Only keys that `LlmSettings.Attribution.Keys` names are counted. Inner tags replace outer ones of the same key; an
    empty value is no tag. Raises `ConfigError` if a value is not text.
    """
    for key, value in values.items():
        if not isinstance(value, str):
            raise ConfigError(f"tags({key}={value!r}): a tag's value should be text, such as str({key})")
    return TagScope(values)


class TaggedSeries:
    """The metric families by tag: at most `MaxValues` values a key, and `other`."""

    def __init__(self, settings: Attribution, families: Families) -> None:
        self._settings = settings
        self._families = families
        self._labels: dict[str, dict[str, str]] = {key: {} for key in settings.keys}
        """The label of each value that was seen, by key."""
        self._finished: deque[TaggedCall] = deque()
        self._batch = 1 if families.multiprocess else BATCH
        self._ledger_sums: TagSums | None = None
        self._worker: Worker | None = None
        self._seconds: Callable[[], float] = bool
        self._ignored: set[str] = set()
        """Keys that calls had and the settings do not count, the first few."""
        self._lock = RLock()

    def of(self, tags: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """Return the keys and values of a context that are counted."""
        found = []
        for key in self._settings.keys:
            if value := tags.get(key):
                # `shown`, without a call for what nearly every value is
                plain = len(value) <= LONGEST and value.isprintable() and not self._settings.hash
                found.append((key, value if plain else shown(value, hashed=self._settings.hash)))
        return tuple(found)

    def every(self, tags: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """Return all keys and values of a context, also those that are not counted, sorted."""
        return tuple(sorted((key, shown(value, hashed=self._settings.hash)) for key, value in tags.items()))

    def ignored(self, tags: Mapping[str, str]) -> Iterator[str]:
        """Count a call with keys that the settings do not count; yield those to log."""
        if not (strange := tags.keys() - self._settings.keys):
            return
        self._families["ignored_tags"].inc()
        for key in sorted(strange - self._ignored)[: MOST_LOGGED - len(self._ignored)]:
            self._ignored.add(key)
            yield key

    def goes_to(self, sums: TagSums, worker: Worker, seconds: Callable[[], float]) -> None:
        """Add costs to the ledger's sums too, which `worker` sends, on the days that `seconds` (since 1970) tells."""
        self._ledger_sums, sums.bring = sums, self.flush
        self._worker, self._seconds = worker, seconds

    def stays(self) -> None:
        """Add costs to no ledger."""
        self._ledger_sums = self._worker = None

    def add(self, tags: Sequence[tuple[str, str]], backend: str, usage: Usage | None, cost: int | None) -> None:
        """Count the tokens and the cost (attodollars) of a finished call, or of an answer, by its tags."""
        at = None
        if self._worker is not None:
            if not self._worker.runs:
                self._worker.start()
            at = self._seconds()
        self._finished.append((tags, backend, usage, cost, at))
        if len(self._finished) >= self._batch:
            self.flush()

    def flush(self) -> None:
        """Write the batch to the children: adding to each for each call would take most of the time of a tag."""
        with self._lock:
            costs, prompts, completions = (defaultdict[tuple[str, str, str], int](int) for _ in range(3))
            for tags, backend, usage, cost, at in self._taken():
                if cost and at is not None and self._ledger_sums is not None:
                    self._ledger_sums.add(tags, cost, at)
                for key, value in tags:
                    names = (key, self._labels[key].get(value) or self._new_label(key, value), backend)
                    if cost is not None:
                        costs[names] += cost
                    if usage is not None:
                        prompts[names] += usage.prompt
                        completions[names] += usage.completion
            self._write(costs, prompts, completions)

    def _taken(self) -> Sequence[TaggedCall]:
        """Take the batch, one by one: a call of a signal handler may flush in the midst of it."""
        batch, take = list[TaggedCall](), self._finished.popleft
        with suppress(IndexError):
            while True:
                batch.append(take())
        return batch

    def _write(self, costs: _Sums, prompts: _Sums, completions: _Sums) -> None:
        for names, cost in costs.items():
            self._families["tagged_cost"].labels(*names).inc(cost / ATTO)
        for names, prompt in prompts.items():
            completion = completions[names]
            for each, count in zip(TOKEN_TYPES, (prompt, completion, prompt + completion), strict=True):
                self._families["tagged_tokens"].labels(*names, each).inc(count)

    def forked(self) -> None:
        """Reset the state in a forked process. With several processes, what is not written is the parent's."""
        self._lock = RLock()
        if self._families.multiprocess:
            self._finished.clear()
        else:
            # this copy of the registry counts them too; the ledger has them from the parent
            self._finished = deque((*call[:4], None) for call in self._finished)

    def _new_label(self, key: str, value: str) -> str:
        known = self._labels[key]
        if len(known) < self._settings.max_values:
            known[value] = value
        return known.get(value, OTHER)
