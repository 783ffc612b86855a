"""Runs each framework, prints the table, and writes it into docs/frameworks/index.md."""

from __future__ import annotations

import sys

from support.doc_tables import write
from support.frameworks import FRAMEWORKS, head, row, run

lines = [head()]
for name in FRAMEWORKS:
    result = run(name)
    lines.append(row(name, result))
    print(lines[-1], flush=True)
    if wrong := {cell: each["note"] for cell, each in result["cells"].items() if each["outcome"] == "wrong"}:
        sys.exit(f"{name}: {wrong}")
write("frameworks/index.md", "frameworks", "\n" + "\n".join(lines) + "\n")
