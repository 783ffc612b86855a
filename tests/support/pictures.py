"""Reads the text of the documentation's pictures."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree as ET

PICTURES = Path(__file__).resolve().parents[2] / "docs/pictures"
CELL = 12.2
"""The width of a letter in rich's pictures."""


def shown(name: str) -> list[str]:
    """Return the lines of a picture."""
    lines: dict[int, str] = defaultdict(str)
    for text in ET.parse(PICTURES / f"{name}.svg").iter("{http://www.w3.org/2000/svg}text"):
        # the title is not a line
        if line := text.get("clip-path"):
            number = int(line.rstrip(")").rpartition("-")[2])
            lines[number] = lines[number].ljust(round(float(text.get("x")) / CELL)) + text.text
    return [lines[n].replace("\xa0", " ").rstrip() for n in range(max(lines) + 1)]
