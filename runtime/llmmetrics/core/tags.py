"""Tags: whose call it is. The caller sets them around calls; metrics and sums of their own are kept by tag."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Lock
from typing import Self

from llmmetrics.core.context import CallContext, Scope
from llmmetrics.errors import ConfigError
from llmmetrics.metrics.batching import TOKEN_TYPES
from llmmetrics.metrics.registry import Families
from llmmetrics.pricing.price import ATTO
from llmmetrics.settings.attribution import Attribution, shown
from llmmetrics.wire.usage import Usage

_Add = Callable[[float], None]

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
        return context._replace(tags={**context.tags, **self._values})

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
        self._costs: dict[tuple[str, str, str], _Add] = {}
        self._tokens: dict[tuple[str, str, str], list[_Add]] = {}
        """What adds to the children, by key, label and backend: looking a child up takes longer."""
        self._ignored: set[str] = set()
        """Keys that calls had and the settings do not count, the first few."""
        self._lock = Lock()

    def of(self, tags: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """Return the keys and values of a context that are counted."""
        return tuple(
            (key, shown(tags[key], hashed=self._settings.hash)) for key in self._settings.keys if tags.get(key)
        )

    def ignored(self, tags: Mapping[str, str]) -> Iterator[str]:
        """Count a call with keys that the settings do not count; yield those to log."""
        if not (strange := tags.keys() - self._settings.keys):
            return
        self._families["ignored_tags"].inc()
        for key in sorted(strange - self._ignored)[: MOST_LOGGED - len(self._ignored)]:
            self._ignored.add(key)
            yield key

    def add(self, tags: Iterable[tuple[str, str]], backend: str, usage: Usage | None, cost: int | None) -> None:
        """Count a finished call by its tags; `cost` is in attodollars, None if no price is known."""
        for key, value in tags:
            label = self._labels[key].get(value) or self._new_label(key, value)
            names = (key, label, backend)
            if cost is not None:
                add = self._costs.get(names) or self._costs.setdefault(
                    names, self._families["tagged_cost"].labels(*names).inc
                )
                add(cost / ATTO)
            if usage is not None:
                adds = self._tokens.get(names) or self._tokens.setdefault(
                    names, [self._families["tagged_tokens"].labels(*names, each).inc for each in TOKEN_TYPES]
                )
                for add, count in zip(adds, (usage.prompt, usage.completion, usage.total), strict=True):
                    add(count)

    def _new_label(self, key: str, value: str) -> str:
        with self._lock:
            known = self._labels[key]
            if len(known) < self._settings.max_values:
                known[value] = value
            return known.get(value, OTHER)
