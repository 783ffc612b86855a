"""A simulated provider and what else a test of metered code needs. Imports no test framework."""

from llmmetrics.call import CallRecord
from llmmetrics.testing import faults
from llmmetrics.testing.faults import FAULTS
from llmmetrics.testing.messages import Answer, Fault, Reply, Request
from llmmetrics.testing.observers import metering, meters, observe, set_owner
from llmmetrics.testing.server import LoopbackProvider, serve
from llmmetrics.testing.simulator import reply

__all__ = [
    "FAULTS",
    "Answer",
    "CallRecord",
    "Fault",
    "LoopbackProvider",
    "Reply",
    "Request",
    "faults",
    "metering",
    "meters",
    "observe",
    "reply",
    "serve",
    "set_owner",
]
