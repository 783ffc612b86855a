"""The end of a process that multiprocessing started: it calls `os._exit`, so that no `atexit` function runs."""

from __future__ import annotations

from collections.abc import Callable

_LAST = -1000
"""The exit priority: after what the program itself does at its end, which may make calls."""


class ChildEnd:
    """Calls `finish` at the end of each process that multiprocessing starts, and of this one.

    billiard, celery's multiprocessing, uses the same registry. `finish` must bear to be called twice. The object must
    be held as long as `finish` is wanted: it is called, too, when the object is collected.
    """

    def __init__(self, finish: Callable[[], object]) -> None:
        # its import takes longer than ours, and only meters with limits need it
        from multiprocessing import util

        self._finish = finish
        self._register()
        # a process that starts forgets all finalizers, and calls these functions after that
        util.register_after_fork(self, ChildEnd._register)

    def _register(self) -> None:
        from multiprocessing import util

        util.Finalize(self, self._finish, exitpriority=_LAST)
