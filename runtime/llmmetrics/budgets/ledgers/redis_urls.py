"""Splits the URL of a Redis ledger, which may name several servers."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

_AUTHORITY = re.compile(r"(?<=://)[^/?#]*")


def split_url(url: str) -> SplitResult:
    """Split `SCHEME://[user:password@]host:port,host:port/…`.

    `urlsplit` alone takes one host: newer Pythons refuse an IPv6 address after another host.
    """
    authority = _AUTHORITY.search(url)
    if not authority:
        return urlsplit(url)
    before, after = url[: authority.start()], url[authority.end() :]
    return urlsplit(before + after)._replace(netloc=authority[0])
