"""Replaces a dashboard's variables as Grafana does: `$job`, `${job:regex}`, `[[job]]`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

BUILT_IN: Mapping[str, str] = {
    "__interval": "1m",
    "__interval_ms": "60000",
    "__rate_interval": "1m",
    "__range": "1h",
    "__range_s": "3600",
    "__range_ms": "3600000",
    "__from": "0",
    "__to": "3600000",
}
"""Grafana's built-in variables, for the last hour: https://grafana.com/docs/grafana/latest/dashboards/variables."""

# not $1, which belongs to label_replace
_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)|\$\{([A-Za-z_]\w*)[^}]*\}|\[\[([A-Za-z_]\w*)[^\]]*\]\]")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`')


class UnknownVariableError(ValueError):
    """A variable whose value the dashboard does not contain, at a place that needs a value."""


def values(listed: Any) -> Iterator[tuple[str, str]]:
    """List a dashboard's variables by name, with the chosen value, or else the first possible one."""
    for each in listed if isinstance(listed, list) else ():
        if not isinstance(each, dict) or not isinstance(each.get("name"), str):
            continue
        value = each["current"].get("value") if isinstance(each.get("current"), dict) else None
        value = value[0] if isinstance(value, list) and value else value
        if not value and each.get("type") in ("interval", "custom", "constant", "textbox"):
            value = str(each.get("query", "")).partition(",")[0]
        yield each["name"], value if isinstance(value, str) and not value.startswith("$") else ""


def substituted(expression: str, chosen: Mapping[str, str]) -> str:
    """Replace the variables of an expression. In a label's value they stay as `$name`, which matches any value."""

    def outside(match: re.Match[str]) -> str:
        name = next(filter(None, match.groups()))
        value = BUILT_IN.get(name) or chosen.get(name)
        # `[$window]`: any duration
        in_range = match.string[: match.start()].rstrip().endswith("[")
        if not value and not in_range:
            raise UnknownVariableError(name)
        return value or "5m"

    parts: list[str] = []
    end = 0
    for quoted in _QUOTED.finditer(expression):
        parts += [_VARIABLE.sub(outside, expression[end : quoted.start()]), _VARIABLE.sub(_plain, quoted[0])]
        end = quoted.end()
    return "".join([*parts, _VARIABLE.sub(outside, expression[end:])])


def _plain(match: re.Match[str]) -> str:
    return f"${next(filter(None, match.groups()))}"
