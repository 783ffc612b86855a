"""Each kind of ledger."""

from __future__ import annotations

import pytest
from support.servers import redis_server


@pytest.fixture(params=["memory", "sqlite", "redis"])
def ledger(request, tmp_path):
    if request.param == "redis":
        with redis_server(tmp_path) as server:
            yield server.url
    else:
        yield {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path / 'ledger.db'}"}[request.param]
