"""Measures the error of estimated tokens: hides the usage of recorded exchanges, estimates it, and compares.

`python benchmarks/estimates.py [CORPUS.jsonl.gz]` prints the tables of docs/estimates.md. An error is the distance
between estimate and truth, as a part of the truth; the medians of them stand in the tables.
"""

from __future__ import annotations

import gzip
import json
import re
import statistics
import sys
from base64 import b64decode
from collections import defaultdict
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from llmmetrics.wire import Format, claim, prompt_names
from llmmetrics.wire.estimation.completion_text import completion_of
from llmmetrics.wire.estimation.estimate import completion_tokens, prompt_tokens
from llmmetrics.wire.estimation.prompt import parts_of
from llmmetrics.wire.framing.body_buffer import keep
from llmmetrics.wire.framing.frames import parse

CORPUS = Path(__file__).resolve().parents[2] / "shared/corpus/dev.jsonl.gz"
COLUMNS = ("prompt", "written", "thought", "cut")
FEWEST = 4
"""Rows of fewer exchanges are not significant."""
_ELSEWHERE = re.compile(rb'"(?:previous_response_id|cachedContent|file_id|conversation|mcp_servers|prompt_id)"')
_SERVERS = re.compile(
    rb"web_?search|google_?search|code_?execution|code_?interpreter|file_?search|tool_search|\"mcp\"", re.IGNORECASE
)

Errors = dict[tuple[str, str], list[float]]


def kind_of(request: bytes, format: Format) -> str:
    """Return the main reason why the tokens of a request are uncertain."""
    fields = parse(request)
    parts = parts_of(fields, prompt_names(format)) if isinstance(fields, dict) else None
    if parts is None or _ELSEWHERE.search(request) or _SERVERS.search(request):
        return "more is read than is sent: searches, files, earlier turns"
    if parts.media:
        return "images, sounds, films, documents"
    if parts.tools:
        return "text and tools"
    text = "".join(parts.texts)
    return "text" if len(text.encode()) <= 1.2 * len(text) else "text, much of it not in Latin script"


def written(body: bytes, format: Format) -> int:
    return sum(map(len, completion_of(keep(body), format).texts))


def note(row: dict[str, Any], errors: Errors) -> None:
    """Add the errors of one exchange to its rows of the tables."""
    truth, url = row["truth"], urlsplit(row["url"])
    if row["status"] >= 400 or truth["usage_absent"] or not truth["scored_tokens"]:
        return
    claimed = claim(row["method"], url.hostname or "", unquote(url.path))
    if claimed is None:
        return
    request, answer = (b64decode(row[f"{side}_body_b64"] or "") for side in ("request", "response"))
    names = (claimed.format, truth["model_requested"])
    half = "held back" if int(sha256(row["id"].encode()).hexdigest(), 16) % 2 else "chosen on this half"
    rows = ("all", half, claimed.format.id, kind_of(request, claimed.format))

    def add(column: str, estimated: float, true: float) -> None:
        for each in rows:
            errors[each, column].append(abs(estimated - true) / true)

    if truth["prompt_tokens"]:
        add("prompt", prompt_tokens(request, *names), truth["prompt_tokens"])
    if not (completion := truth["completion_tokens"]):
        return
    add("thought" if truth["reasoning_tokens"] else "written", completion_tokens(keep(answer), *names), completion)
    if row["stream"] and not truth["reasoning_tokens"] and (whole := written(answer, claimed.format)):
        half_way = answer[: len(answer) // 2]
        if passed := written(half_way, claimed.format):
            add("cut", completion_tokens(keep(half_way), *names), completion * passed / whole)


def table(errors: Errors, title: str, rows: list[str]) -> list[str]:
    """Return a Markdown table; the number of exchanges follows each median."""
    lines = [f"| {title} | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for row in rows:
        cells = []
        for column in COLUMNS:
            found = errors.get((row, column), [])
            cells.append(f"{statistics.median(found):.0%} ({len(found)})" if len(found) >= FEWEST else "")
        if any(cells):
            lines.append(f"| {row} | {' | '.join(cells)} |")
    return lines


def tables(corpus: Path) -> str:
    errors: Errors = defaultdict(list)
    with gzip.open(corpus, "rt") as lines:
        for line in lines:
            note(json.loads(line), errors)
    names = sorted({row for row, _ in errors})
    formats = [name for name in names if "." in name]
    overall = ["all", "chosen on this half", "held back"]
    kinds = [name for name in names if name not in (*formats, *overall)]
    parts = (("", overall), ("format", formats), ("request", kinds))
    return "\n\n".join("\n".join(table(errors, title, rows)) for title, rows in parts)


if __name__ == "__main__":
    print(tables(Path(sys.argv[1]) if len(sys.argv) > 1 else CORPUS))
