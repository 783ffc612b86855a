"""Forked children of a test."""

from __future__ import annotations

import os


def in_a_child(act) -> int:
    """The exit status of a child that does this: what it returns, 99 for what it raises."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            status = act()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
