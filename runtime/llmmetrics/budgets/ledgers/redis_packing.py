"""Packs the commands of a connection, and remembers the bytes of a script's name and keys."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from redis.connection import PythonRespSerializer

_CUTOFF = 6000
"""Bytes from which redis-py sends an argument by itself; it has the same number."""

# redis-py does not type it
_Serializer: Any = PythonRespSerializer


def _encoded(value: bytes | str | float) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


class ScriptPacker:
    """Gives the same bytes as redis-py's own packer. All but the last argument of a script are usually the same.

    redis-py packs eight arguments in a third of the time that a whole question takes.
    """

    def __init__(self) -> None:
        self._usual = _Serializer(_CUTOFF, _encoded)

    def pack(self, *args: Any) -> list[bytes]:
        if args[0] != "EVALSHA":
            packed: list[bytes] = self._usual.pack(*args)
            return packed
        last = _encoded(args[-1])
        return [b"%b$%d\r\n%b\r\n" % (_head(args[:-1]), len(last), last)]


@lru_cache(256)
def _head(args: tuple[str | int, ...]) -> bytes:
    texts = [_encoded(arg) for arg in args]
    return b"*%d\r\n%b" % (len(args) + 1, b"".join(b"$%d\r\n%b\r\n" % (len(text), text) for text in texts))
