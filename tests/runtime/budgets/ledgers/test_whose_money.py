"""Runs, tags and failover on a ledger in memory, SQLite and Redis; Sentinel and Cluster are in `test_redis_servers`."""

from __future__ import annotations

import pytest
from support import whose_money


@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis"])
def test_runs_tags_and_failover(kind, request, tmp_path, namespace):
    if kind == "redis":
        url = request.getfixturevalue("redis_url")
    else:
        url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path / 'ledger.db'}"}[kind]
    one = whose_money.Side(url, namespace)
    whose_money.play(one, one if kind == "memory" else whose_money.Side(url, namespace))
