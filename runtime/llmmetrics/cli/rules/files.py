"""Reads a file: a dashboard in JSON, or rules or a prometheus.yml in YAML."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from llmmetrics.cli.rules import grafana, prometheus
from llmmetrics.cli.rules.queries import Document, UnreadableError


def read(path: str) -> Document:
    """Read the queries of a file. Raises `UnreadableError`, whose message continues the file's name."""
    try:
        content = Path(path).read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableError("is not text in UTF-8: give YAML or JSON") from None
    except OSError as exc:
        raise UnreadableError(f"cannot be read ({exc.strerror or type(exc).__name__}): check the path") from None
    if path.endswith(".json") or content.lstrip().startswith("{"):
        try:
            return grafana.dashboard(json.loads(content))
        except (ValueError, RecursionError) as exc:
            if path.endswith(".json"):
                raise UnreadableError(f"is not JSON ({exc}): correct it first") from None
    try:
        return prometheus.document(yaml.safe_load(content))
    except UnreadableError:
        raise
    except (yaml.YAMLError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError) as exc:
        # the exception's text quotes the file over several lines
        mark = getattr(exc, "problem_mark", None)
        at = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = getattr(exc, "problem", None) or type(exc).__name__
        raise UnreadableError(f"is not YAML ({what}{at}): correct it first") from None
