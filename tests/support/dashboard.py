"""The shipped Grafana dashboard as tests read it: its panels, and its expressions with the variables filled in."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

DASHBOARDS = Path(__file__).resolve().parents[2] / "dashboards"
BUILT = DASHBOARDS / "grafana/llm-backends.json"


def document() -> dict[str, Any]:
    """The committed dashboard."""
    return json.loads(BUILT.read_text("utf8"))


def panels() -> list[dict[str, Any]]:
    """Its panels, without the rows' titles."""
    return [each for each in document()["panels"] if each["type"] != "row"]


def expressions() -> dict[str, tuple[str, dict[str, Any]]]:
    """Each expression of a panel by its title and letter, and the target that has it."""
    return {
        f"{panel['title']} {each['refId']}": (each["expr"], each) for panel in panels() for each in panel["targets"]
    }


def annotation() -> str:
    """The expression of what is marked in every graph."""
    (alerts,) = document()["annotations"]["list"]
    return alerts["target"]["expr"]


def filled(expression: str, **given: str) -> str:
    """The expression as Grafana sends it. Every job, backend and model is chosen unless `given` says otherwise."""
    values = {
        "job": ".*",
        "backend": ".*",
        "model": ".*",
        "__rate_interval": "30s",
        "__range": "5m",
        "__interval": "5s",
        "__interval_ms": "5000",
        "__from": str(int(time.time() - 300) * 1000),
        **given,
    }
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], expression)
