"""Four processes draw and transcribe against one strict budget: the provider's bill never passes the limit."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread

import pytest
from support import LONG, SOAK

from llmmetrics.budgets.ledgers import open_ledger
from llmmetrics.settings.windows import ResetPeriod, WindowSchedule
from llmmetrics.system.clock import SystemClock

PROGRAM = Path(__file__).parents[2] / "support/programs/media_spender.py"
LIMIT = 2_000_000
"""In micro-dollars, as the bill."""


@pytest.fixture
def provider():
    """Answers with a usage of its own choice, and adds up what it bills."""
    rng, lock = random.Random(18), Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_POST(self):
            size = int(self.headers["content-length"])
            self.rfile.read(size)
            with lock:
                if self.path.endswith("/generations"):
                    tokens = rng.choice([272, 1056, 4160, 6240])
                    usage = {"input_tokens": 10, "output_tokens": tokens}
                    answer = {"data": [{"b64_json": "x"}], "usage": usage}
                    self.server.bill += 50 + tokens * 30
                else:
                    seconds = rng.randint(1, max(size // 2000, 1))
                    answer = {"text": "hi", "usage": {"type": "duration", "seconds": seconds}}
                    self.server.bill += seconds * 100
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.bill = 0
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


# in `make test`, the four processes of test_later.py draw and transcribe as well
@pytest.mark.skipif(not SOAK, reason=LONG)
@pytest.mark.parametrize("killed", [False, True], ids=["all live", "one is killed"])
def test_the_bill_stays_below_the_limit(provider, tmp_path, killed):
    ledger = f"sqlite:///{tmp_path / 'budget.db'}"
    url = f"http://127.0.0.1:{provider.server_port}/v1"
    spenders = [subprocess.Popen([sys.executable, PROGRAM, url, ledger, str(seed)]) for seed in range(4)]
    if killed:
        deadline = time.monotonic() + 60
        while not provider.bill and time.monotonic() < deadline:
            time.sleep(0.01)
        spenders[0].kill()
    ends = [each.wait(120) for each in spenders]
    assert ends[1:] == [0, 0, 0]
    assert 0 < provider.bill <= LIMIT
    clock = SystemClock()
    opened = open_ledger(ledger, namespace="media")
    spent = opened.balance("b", WindowSchedule(ResetPeriod.NEVER).window(clock.now()), clock.uptime()).spent
    opened.close()
    if not killed:
        # in pico-dollars
        assert spent == provider.bill * 10**6
        assert provider.bill > LIMIT / 2
