"""Runs each framework, or those that are named, and writes their rows in docs/frameworks/index.md.

`PYTHONPATH=tests python -m support.frameworks [NAME…]`
"""

from __future__ import annotations

import sys

from support.frameworks.table import FRAMEWORKS, head, row, rows, run, write_rows

drawn = rows()
for name in sys.argv[1:] or FRAMEWORKS:
    result = run(name)
    if wrong := {cell: each["note"] for cell, each in result["cells"].items() if each["outcome"] == "wrong"}:
        sys.exit(f"{name}: {wrong}")
    drawn[name] = row(name, result)
    write_rows(drawn)
sys.stdout.write("\n".join([head(), *(drawn[name] for name in FRAMEWORKS if name in drawn)]) + "\n")
