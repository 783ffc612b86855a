"""Commands are packed as redis-py packs them, also when the bytes of a script's keys are remembered."""

from __future__ import annotations

from contextlib import closing

import pytest
from redis import Redis
from redis.connection import Connection

from llmmetrics.budgets.ledgers.redis_packing import ScriptPacker

SHA = "0" * 40
SCRIPT = ("EVALSHA", SHA, 2, "meta", "owner")


@pytest.mark.parametrize(
    "command",
    [
        (*SCRIPT, "abc", "1 2 3"),
        # the same head, and another end
        (*SCRIPT, "abc", "4"),
        # other ends that begin alike, or are no text
        (*SCRIPT, "abc", ""),
        (*SCRIPT, "abc", 17),
        (*SCRIPT, "abc", b"\xff\r\n$1"),
        # keys and owners that look like the protocol, or are longer in bytes than in characters
        ("EVALSHA", SHA, 1, "a\r\n$3\r\nfoo", "é\r\n", "ü €"),
        ("EVALSHA", SHA, 1, "kéy", "x" * 10_000, "y" * 10_000),
        ("EVALSHA", SHA, 0),
        # not a script
        ("WAIT", 1, 400),
        ("SCRIPT LOAD", "return 1"),
        ("HELLO", 3, "AUTH", "me", "pässword"),
        ("SET", "k", 0.25),
        ("SET", b"k", b"\x00" * 7000),
    ],
)
def test_the_bytes_are_those_of_redis_py(command):
    usual = b"".join(Connection().pack_command(*command))
    packer = ScriptPacker()
    # remembered from the second time on
    assert [b"".join(packer.pack(*command)) for _ in range(2)] == [usual, usual]


def test_connections_use_it():
    """The option that says so is one of redis-py's."""
    with closing(Redis.from_url("redis://127.0.0.1:1/0", command_packer=ScriptPacker())) as client:
        connection = client.connection_pool.make_connection()
    assert connection.pack_command(*SCRIPT, "x") == ScriptPacker().pack(*SCRIPT, "x")
    assert len(connection.pack_command(*SCRIPT, "x" * 7000)) == 1
