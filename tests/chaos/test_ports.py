"""Two runs on one machine have no server in common: each would see the other's ledger."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.servers import free_port

SUPPORT = Path(__file__).parents[1]
OTHER = """
import itertools
from support import servers

servers._PORTS = itertools.chain([{port}], servers._PORTS)
print(servers.free_port())
"""


def test_a_port_that_another_run_has_taken_is_not_free():
    """Its server has not started yet."""
    port = free_port()
    other = subprocess.run(
        [sys.executable, "-c", OTHER.format(port=port)], capture_output=True, check=True, cwd=SUPPORT, text=True
    )
    assert int(other.stdout) != port
