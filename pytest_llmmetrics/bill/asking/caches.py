"""What providers' prompt caches could serve of the requests of one test, by the rules that they document. Pure.

A read needs an earlier request with the same prefix. What only a live run can know: whether the request reaches the
server that holds the prefix, and whether the provider has dropped it before its time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from pytest_llmmetrics.bill.asking.reading import Demand
from pytest_llmmetrics.bill.asking.volatile import volatile_at


class CacheRules(NamedTuple):
    """How a family of models caches prompts."""

    family: str
    models: re.Pattern[str]
    minimum: int
    """Tokens of the shortest prefix that is cached."""
    step: int = 1
    """A prefix is cached in steps of so many tokens."""
    marks: int = 0
    """The most marks that a request may write; 0: any prefix is cached, without a mark."""
    implicit: bool = False
    """Whether the end of the prompt is a mark, unless the request says otherwise."""
    look_back: int = 0
    """How many blocks before a mark are searched for an earlier one; 0: no limit."""
    seconds: int = 300
    """How long a prefix stays; a read starts the time again."""
    source: str = ""
    checked: date = date(2026, 11, 27)


def _named(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_ANTHROPIC = "https://platform.claude.com/docs/en/build-with-claude/prompt-caching"
_OPENAI = "https://developers.openai.com/api/docs/guides/prompt-caching"
_GEMINI = "https://ai.google.dev/gemini-api/docs/caching"
_DEEPSEEK = "https://api-docs.deepseek.com/guides/kv_cache"


def _claude(family: str, pattern: str, minimum: int) -> CacheRules:
    return CacheRules(family, _named(pattern), minimum, marks=4, look_back=20, seconds=300, source=_ANTHROPIC)


RULES = (
    _claude("Claude Opus 5, Fable 5, Mythos 5", r"claude-(?:opus|fable|mythos)-5", 512),
    _claude("Claude Haiku 4.5, Opus 4.5 to 4.7", r"claude-(?:haiku-4[-.]5|opus-4[-.][567])", 4096),
    _claude("Claude Haiku 3, Haiku 3.5", r"claude-(?:3-haiku|3[-.]5-haiku|haiku-3)", 2048),
    _claude("Claude, all others", r"claude", 1024),
    CacheRules(
        "GPT-5.6 and later",
        _named(r"(?:^|[/.])gpt-(?:5\.(?:[6-9]|\d\d)|[6-9])"),
        1024,
        marks=4,
        implicit=True,
        seconds=1800,
        source=_OPENAI,
    ),
    CacheRules(
        "OpenAI before GPT-5.6",
        _named(r"(?:^|[/.])(?:gpt-4o|gpt-4\.1|gpt-5|chatgpt|o[1345](?:-|$))"),
        1024,
        128,
        source=_OPENAI,
    ),
    CacheRules("Gemini 2.5 Flash", _named(r"gemini-2\.5-flash"), 1024, source=_GEMINI),
    CacheRules("Gemini 2.5", _named(r"gemini-2\.5"), 2048, source=_GEMINI),
    CacheRules("Gemini 3 and later", _named(r"gemini-(?:[3-9]|flash|pro)"), 4096, source=_GEMINI),
    CacheRules("DeepSeek", _named(r"deepseek"), 64, 64, seconds=3600, source=_DEEPSEEK),
)
"""The first row whose pattern matches a model holds for it."""


def rules_for(model: str) -> CacheRules | None:
    """Return the rules of a model's family; None: its rules are not known."""
    return next((each for each in RULES if each.models.search(model)), None)


def possible(model: str, read: int) -> bool:
    """Tell whether a cache could have served so many tokens, by the rules of the model's family."""
    rules = rules_for(model)
    return rules is None or read == 0 or read >= rules.minimum


class Served(NamedTuple):
    """What a cache could serve of one request, in estimated tokens."""

    read: int = 0
    """By the rules; the whole common prefix if they are not known."""
    shared: int = 0
    """The longest prefix in common with an earlier request, whatever the rules say."""
    first: bool = True
    """Whether no earlier request to the model could have filled a cache."""
    difference: str = ""
    """Where the prefix of the request before it ends, such as `system[0] differs at character 17 (a timestamp?)`."""


class _Entry(NamedTuple):
    """A cached prefix: how many blocks, with which texts."""

    texts: tuple[str, ...]
    until: float


def simulate(demands: Sequence[Demand]) -> list[Served]:
    """Return what a cache could serve of each of these requests, which are in the order in which they were sent."""
    served: list[Served] = []
    held: dict[str, list[_Entry]] = {}
    earlier: dict[str, list[Demand]] = {}
    for demand in demands:
        if not demand.fingerprint:
            served.append(Served())
            continue
        rules, before = rules_for(demand.model), earlier.setdefault(demand.model, [])
        entries = held.setdefault(demand.model, [])
        common = max((_common(each, demand) for each in before), key=lambda each: each[0], default=(0.0, ""))
        scale = demand.prompt / total if (total := sum(each.tokens for each in demand.parts)) else 1.0
        if rules is None:
            read = common[0] * scale
        elif rules.marks:
            read = _at_marks(rules, demand, entries, scale)
        else:
            alive = [each for each in before if demand.at - each.at <= rules.seconds]
            longest = max((_common(each, demand)[0] for each in alive), default=0.0) * scale
            read = longest // rules.step * rules.step if longest >= rules.minimum else 0.0
        served.append(Served(int(read), int(common[0] * scale), not before, common[1]))
        before.append(demand)
    return served


def _common(old: Demand, new: Demand) -> tuple[float, str]:
    """Return the tokens of the common prefix, and where it ends; an empty place: one is a prefix of the other."""
    tokens = 0.0
    for one, other in zip(old.parts, new.parts, strict=False):
        if one.text != other.text:
            position = _first_difference(one.text, other.text)
            form = volatile_at(other.text, position) or volatile_at(one.text, position)
            start = min(position, form.start) if form else position
            return tokens + other.tokens * start / max(len(other.text), 1), (
                f"{other.place} differs at character {start + 1}{f' ({form.words}?)' if form else ''}"
            )
        tokens += other.tokens
    return tokens, ""


def _first_difference(one: str, other: str) -> int:
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


_LIFETIMES = {"5m": 300, "30m": 1800, "1h": 3600}


def _at_marks(rules: CacheRules, demand: Demand, entries: list[_Entry], scale: float) -> float:
    """Read and write at the marks of a request; return the tokens that are read."""
    texts = tuple(each.text for each in demand.parts)
    sums = [0.0]
    for each in demand.parts:
        sums.append(sums[-1] + each.tokens * scale)
    ends = _ends(rules, demand)
    read = 0
    for end, _ in ends:
        for n, entry in enumerate(entries):
            size = len(entry.texts)
            near = not rules.look_back or end - size < rules.look_back
            if size <= end and near and entry.until >= demand.at and texts[:size] == entry.texts:
                entries[n] = entry._replace(until=max(entry.until, demand.at + rules.seconds))
                read = max(read, size)
    for end, seconds in ends:
        if sums[end] >= rules.minimum:
            entries.append(_Entry(texts[:end], demand.at + seconds))
    return sums[read]


def _ends(rules: CacheRules, demand: Demand) -> list[tuple[int, int]]:
    """Return the marks of a request: the number of blocks before each, and its lifetime in seconds."""
    marked = [(n + 1, each.mark) for n, each in enumerate(demand.parts) if each.mark]
    own = demand.automatic or ("5m" if rules.implicit and not demand.explicit else "")
    if own and demand.parts:
        marked.append((len(demand.parts), own))
    return [(end, max(_LIFETIMES.get(mark, rules.seconds), rules.seconds)) for end, mark in marked[-rules.marks :]]
