"""A simulated provider, and other tools for tests of metered code. Imports no test framework."""

from llmmetrics.core.engine import Engine
from llmmetrics.core.record import CallRecord
from llmmetrics.testing import faults
from llmmetrics.testing.budgets import TestBudget, has_own_clock, next_reset
from llmmetrics.testing.contract.families import CONTRACT, FAMILIES, Family
from llmmetrics.testing.faults import FAULTS, CannotExpressError
from llmmetrics.testing.messages.model import Answer, Fault, Reply, Request, ToolCall
from llmmetrics.testing.observers import metering, meters, observe, set_owner
from llmmetrics.testing.places import is_llm_host, is_llm_request
from llmmetrics.testing.script import Script, Step, UnscriptedError
from llmmetrics.testing.server import LoopbackProvider, serve
from llmmetrics.testing.simulator import reply
from llmmetrics.testing.target import Target, target_of
from llmmetrics.testing.unpriced import Unpriced
from llmmetrics.wire.estimation.estimate import VERSION as ESTIMATOR

__all__ = [
    "CONTRACT",
    "ESTIMATOR",
    "FAMILIES",
    "FAULTS",
    "Answer",
    "CallRecord",
    "CannotExpressError",
    "Engine",
    "Family",
    "Fault",
    "LoopbackProvider",
    "Reply",
    "Request",
    "Script",
    "Step",
    "Target",
    "TestBudget",
    "ToolCall",
    "Unpriced",
    "UnscriptedError",
    "faults",
    "has_own_clock",
    "is_llm_host",
    "is_llm_request",
    "metering",
    "meters",
    "next_reset",
    "observe",
    "reply",
    "serve",
    "set_owner",
    "target_of",
]
