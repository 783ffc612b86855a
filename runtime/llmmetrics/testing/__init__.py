"""A simulated provider and what else a test of metered code needs. Imports no test framework."""

from llmmetrics.core.record import CallRecord
from llmmetrics.testing import faults
from llmmetrics.testing.faults import FAULTS, CannotExpressError
from llmmetrics.testing.messages.model import Answer, Fault, Reply, Request, ToolCall
from llmmetrics.testing.observers import observe
from llmmetrics.testing.script import UnscriptedError
from llmmetrics.testing.server import LoopbackProvider, serve
from llmmetrics.testing.simulator import reply

__all__ = [
    "FAULTS",
    "Answer",
    "CallRecord",
    "CannotExpressError",
    "Fault",
    "LoopbackProvider",
    "Reply",
    "Request",
    "ToolCall",
    "UnscriptedError",
    "faults",
    "observe",
    "reply",
    "serve",
]
