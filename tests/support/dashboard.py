"""Reads the shipped Grafana dashboard: its panels, and its expressions with values for the variables."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

DASHBOARDS = Path(__file__).resolve().parents[2] / "dashboards"
BUILT = DASHBOARDS / "grafana/llm-backends.json"


def document() -> dict[str, Any]:
    """Load the committed dashboard."""
    return json.loads(BUILT.read_text("utf8"))


def panels() -> list[dict[str, Any]]:
    """Return its panels, without the titles of rows."""
    return [each for each in document()["panels"] if each["type"] != "row"]


def expressions() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return each target by the panel's title and the query's letter."""
    return {
        f"{panel['title']} {each['refId']}": (each["expr"], each) for panel in panels() for each in panel["targets"]
    }


def annotation() -> str:
    """Return the expression of the dashboard's annotation."""
    (alerts,) = document()["annotations"]["list"]
    return alerts["target"]["expr"]


def filled(expression: str, **given: str) -> str:
    """Return the expression as Grafana sends it; `given` replaces the choice of all jobs, backends and models."""
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
