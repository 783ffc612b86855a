"""What reading one expression needs and finds; the parts of a reader share it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from promql_parser import Expr

from llmmetrics.cli.output.findings import Finding, warning
from llmmetrics.cli.rules.shape import VectorShape, listed


@dataclass
class ExpressionReading:
    """One expression on its way."""

    kind: str
    """As in `Query`."""
    targets: frozenset[str]
    """The labels that scraping adds to `job` and `instance`."""
    recorded: Callable[[str], VectorShape | None]
    """What a recording rule of this name gives."""
    read: Callable[[ExpressionReading, Expr], VectorShape]
    found: list[Finding] = field(default_factory=list)

    def of(self, node: Expr) -> VectorShape:
        """What a part of the expression gives."""
        return self.read(self, node)

    def say(self, finding: Finding) -> None:
        """Note what is wrong."""
        self.found.append(finding)

    def rated(self, shape: VectorShape) -> VectorShape:
        """Something to compute with: a counter itself is nothing, it only means something by what it grew."""
        if shape.type == "counter" and self.kind != "variable":
            names = listed(shape.names)
            self.say(
                warning(
                    f"{names} is a counter, used without rate() or increase(): it restarts at 0 with the process",
                    f"first increase({names}[1h]), over the range that is meant, or rate({names}[5m]); then the rest",
                )
            )
        return shape._replace(type="")


def text(node: Expr) -> str:
    """An expression in one line."""
    return " ".join(node.prettify().split())
