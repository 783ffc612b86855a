"""A process that is instrumented for a WebSocket server."""

from __future__ import annotations

import pytest
from support.socket_servers import metered

import llmmetrics


@pytest.fixture
def instrumented_for(registry):
    """Instrument the process for a server; the meter is closed at the end."""
    meters = []

    def start(url, **options):
        meters.append(metered(url, registry, **options))
        llmmetrics.instrument(meters[0])
        return meters[0]

    yield start
    llmmetrics.uninstrument()
    for meter in meters:
        meter.close()
