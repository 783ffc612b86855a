"""The state of reading one expression, shared by the parts of the reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from promql_parser import Expr

from llmmetrics.cli.output.findings import Finding, warning
from llmmetrics.cli.rules.shape import VectorShape, listed


@dataclass
class ExpressionReading:
    """The state of reading one expression."""

    kind: str
    """As in `Query`."""
    targets: frozenset[str]
    """The labels that scraping adds to `job` and `instance`."""
    recorded: Callable[[str], VectorShape | None]
    """Returns the shape of a recording rule's result; None if there is no such rule."""
    read: Callable[[ExpressionReading, Expr], VectorShape]
    found: list[Finding] = field(default_factory=list)

    def of(self, node: Expr) -> VectorShape:
        """Compute the shape of a part of the expression."""
        return self.read(self, node)

    def say(self, finding: Finding) -> None:
        """Add a finding."""
        self.found.append(finding)

    def rated(self, shape: VectorShape) -> VectorShape:
        """Report a counter that is used without rate(); return the shape for further computing."""
        if shape.type == "counter" and self.kind != "variable":
            names = listed(shape.names)
            self.say(
                warning(
                    f"{names} is a counter, used without rate() or increase(): it restarts at 0 with the process",
                    f"write increase({names}[1h]) with the range that you mean, or rate({names}[5m])",
                )
            )
        return shape._replace(type="")


def text(node: Expr) -> str:
    """Format an expression in one line."""
    return " ".join(node.prettify().split())
