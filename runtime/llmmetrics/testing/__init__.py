"""A simulated provider and what else a test of metered code needs. Imports no test framework."""

from llmmetrics.call import CallRecord
from llmmetrics.testing import faults
from llmmetrics.testing.faults import FAULTS, CannotExpressError
from llmmetrics.testing.messages import Answer, Fault, Reply, Request, ToolCall
from llmmetrics.testing.observers import metering, meters, observe
from llmmetrics.testing.script import Script, Step, UnscriptedError
from llmmetrics.testing.server import LoopbackProvider, serve
from llmmetrics.testing.simulator import reply
from llmmetrics.testing.target import Target, target_of

__all__ = [
    "FAULTS",
    "Answer",
    "CallRecord",
    "CannotExpressError",
    "Fault",
    "LoopbackProvider",
    "Reply",
    "Request",
    "Script",
    "Step",
    "Target",
    "ToolCall",
    "UnscriptedError",
    "faults",
    "metering",
    "meters",
    "observe",
    "reply",
    "serve",
    "target_of",
]
