"""Draws a few graphs of the Grafana dashboard without Grafana: the dashboard's own queries, asked of a real Prometheus.

`PYTHONPATH=tests .venv/bin/python docs/pictures/panels.py` runs the demo for `SECONDS`, has Prometheus scrape it, and
writes `panels.png` by Chromium. The data is Prometheus' answer; the look is this file's, not Grafana's.
"""

from __future__ import annotations

import math
import re
import sys
import tempfile
import time
from html import escape
from pathlib import Path
from typing import Any

from support.chromium import browser
from support.dashboard import expressions, filled
from support.servers import free_port, get, prometheus, running, until

SECONDS = 150
TITLES = ("Request rate", "Requests by status", "P95 latency", "Tokens per second", "Cumulative cost", "Error rate")
UNITS = {"P95 latency": "{:.2f} s", "Cumulative cost": "${:.3f}", "Error rate": "{:.0%}"}
WIDTH, HEIGHT, LEFT, LOW = 460, 190, 56, 150
COLOURS = ("#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#f2495c", "#b877d9")
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs: [{{job_name: demo, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]
"""
Line = tuple[str, list[tuple[float, float]]]


def lines(client: Any, title: str, end: float) -> list[Line]:
    """The series that a graph draws, each with its legend."""
    expression, target = expressions()[f"{title} A"]
    times = {"start": str(end - SECONDS + 30), "end": str(end), "step": "2"}
    series = client.api("query_range", query=filled(expression), **times)["result"]
    legend = target.get("legendFormat", "")
    return [
        (
            re.sub(r"{{(\w+)}}", lambda label, labels=each["metric"]: labels.get(label[1], ""), legend),
            [(float(at), float(value)) for at, value in each["values"] if math.isfinite(float(value))],
        )
        for each in series
    ]


def graph(title: str, drawn: list[Line]) -> str:
    """The SVG of one graph."""
    points = [point for _, line in drawn for point in line]
    (first, last), top = (min(at for at, _ in points), max(at for at, _ in points)), max(y for _, y in points) or 1
    unit = UNITS.get(title, "{:.3g}")
    parts = [f'<text x="12" y="20" class="title">{escape(title)}</text>']
    for share in (0, 0.5, 1):
        y = LOW - share * (LOW - 36)
        parts.append(f'<path d="M{LEFT} {y}H{WIDTH - 12}" stroke="#2c3235"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{unit.format(share * top)}</text>')
    x = 12.0
    for (name, line), colour in zip(drawn, COLOURS * 3, strict=False):
        span = (WIDTH - 12 - LEFT) / ((last - first) or 1)
        path = " ".join(f"{LEFT + (at - first) * span:.1f},{LOW - y / top * (LOW - 36):.1f}" for at, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<rect x="{x:.1f}" y="168" width="12" height="3" fill="{colour}"/>')
        parts.append(f'<text x="{x + 15:.1f}" y="174">{escape(name)}</text>')
        x += 22 + 5.3 * len(name)
    return f'<svg width="{WIDTH}" height="{HEIGHT}">{"".join(parts)}</svg>'


STYLE = """
body { margin: 12px; background: #111217; display: grid; grid-template-columns: repeat(2, 460px); gap: 8px }
svg { background: #181b1f; font: 10px sans-serif; fill: #ccccdc } .title { font: 500 13px sans-serif }
"""


def page(client: Any) -> str:
    """The HTML of every graph."""
    end = time.time()
    return f"<!doctype html><style>{STYLE}</style>" + "".join(
        graph(title, lines(client, title, end)) for title in TITLES
    )


def panels(path: Path) -> None:
    """Write a screenshot of the graphs."""
    with tempfile.TemporaryDirectory() as name:
        directory, port = Path(name), free_port()
        command = [sys.executable, "-m", "llmmetrics", "demo", "--port", str(port)]
        with running(command, directory / "log"):
            until(lambda: "llm_requests_total" in get(f"http://127.0.0.1:{port}/metrics"), "the demo")
            with prometheus(directory, CONFIG.format(port=port)) as client:
                time.sleep(SECONDS)
                (directory / "panels.html").write_text(page(client), "utf8")
        with browser(directory) as tab:
            tab.open(directory / "panels.html", 2 * WIDTH + 32, 3 * HEIGHT + 40)
            tab.picture(path)


if __name__ == "__main__":
    panels(Path(__file__).with_name("panels.png"))
