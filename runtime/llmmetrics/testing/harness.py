"""What the pytest plugin needs of the runtime, and no application: it may change with any version."""

from llmmetrics.core.engine import Engine
from llmmetrics.instrumentation.connections import watch as watch_connections
from llmmetrics.instrumentation.import_hooks import when as when_imported
from llmmetrics.system.boot import shift_uptime
from llmmetrics.testing import asking, prices
from llmmetrics.testing.budgets import TestBudget, has_own_clock, next_reset
from llmmetrics.testing.capped import capped
from llmmetrics.testing.contract.families import CONTRACT, FAMILIES, Family
from llmmetrics.testing.observers import metering, meters, set_owner
from llmmetrics.testing.places import is_here, is_llm_host, is_llm_request, is_llm_socket
from llmmetrics.testing.script import Script, Step
from llmmetrics.testing.shapes.eventstream import framed as aws_framed
from llmmetrics.testing.simulator import counted
from llmmetrics.testing.target import Target, target_of
from llmmetrics.testing.unpriced import Unpriced
from llmmetrics.wire import SOCKET
from llmmetrics.wire.estimation.estimate import VERSION as ESTIMATOR
from llmmetrics.wire.framing.eventstream import parts as aws_parts
from llmmetrics.wire.framing.eventstream import split as aws_split
from llmmetrics.wire.framing.frames import parse as json_of

__all__ = [
    "CONTRACT",
    "ESTIMATOR",
    "FAMILIES",
    "SOCKET",
    "Engine",
    "Family",
    "Script",
    "Step",
    "Target",
    "TestBudget",
    "Unpriced",
    "asking",
    "aws_framed",
    "aws_parts",
    "aws_split",
    "capped",
    "counted",
    "has_own_clock",
    "is_here",
    "is_llm_host",
    "is_llm_request",
    "is_llm_socket",
    "json_of",
    "metering",
    "meters",
    "next_reset",
    "prices",
    "set_owner",
    "shift_uptime",
    "target_of",
    "watch_connections",
    "when_imported",
]
