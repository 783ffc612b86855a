"""The settings of tags and runs: whose calls are counted apart."""

import hashlib
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from llmmetrics.settings.fields import Limit, SpendWindows
from llmmetrics.settings.rates import Section


def _named(key: str) -> str:
    if not (key.isascii() and key.isidentifier() and len(key) <= LONGEST_KEY):
        raise ValueError(f"should be a name of at most {LONGEST_KEY} letters, digits and _, as in tags(tenant=...)")
    return key


LONGEST_KEY = 50

TagKey = Annotated[str, AfterValidator(_named)]
"""A tag's key: a name that `llmmetrics.tags` takes as an argument."""


LONGEST = 200
"""Characters of a value; a longer one is cut, and gets a hash of the whole at its end."""


def shown(value: str, *, hashed: bool) -> str:
    """Return a tag's value as labels, the ledger and logs have it: at most 200 printable characters, or its hash.

    A value comes from a client: no metric, database or terminal may stumble over a lone surrogate or an escape code.
    """
    if hashed:
        return _digest(value)
    if len(value) <= LONGEST and value.isprintable():
        return value
    printable = "".join(each if each.isprintable() else "?" for each in value[: LONGEST - 17])
    return f"{printable}…{_digest(value)}"


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class TagLimit(SpendWindows):
    """What the calls with a tag's value may spend in a window; `*` gives each value a limit of its own."""

    tag: TagKey
    value: str = Field(default="*", min_length=1)
    max_spend_usd: Limit


class Attribution(Section):
    """Which tags are counted, and whether each call belongs to a run."""

    keys: tuple[TagKey, ...] = ()
    max_values: int = Field(default=50, ge=1)
    """How many values of a key have metrics of their own; the rest is counted as `other`."""
    hash: bool = False
    """Whether only a hash of each value is stored, exported and logged."""
    limits: tuple[TagLimit, ...] = ()
    require_run: bool = False
    """Whether calls that belong to no run of `llmmetrics.spending` are refused."""

    @model_validator(mode="after")
    def _keys_and_limits_agree(self) -> Self:
        if twice := next((key for key in self.keys if self.keys.count(key) > 1), None):
            raise ValueError(f"Keys has {twice!r} twice: keep one")
        names = [(limit.tag, limit.value) for limit in self.limits]
        if same := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"Limits has two limits for the Tag {same[0]!r} and the Value {same[1]!r}: keep one")
        for limit in self.limits:
            if limit.tag not in self.keys:
                raise ValueError(f"Limits has the Tag {limit.tag!r}, which is not in Keys: {self._remedy(limit.tag)}")
        return self

    def _remedy(self, tag: str) -> str:
        # most programs need none: imported on demand
        from difflib import get_close_matches

        near = get_close_matches(tag, self.keys, 1)
        return f"did you mean {near[0]!r}?" if near else "add it there"
