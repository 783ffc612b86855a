"""Creates files that only their owner can read: ledgers, locks and journals say what was spent, and on what."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

_OWNER = 0o600
_GROUP = 0o660
_SHARED = stat.S_ISGID | stat.S_IWGRP


def create(path: Path) -> None:
    """Create an empty file that only its owner reads and writes; leave a file that exists as it is.

    In a directory that is shared with its group (mode 2770: setgid, and the group may write) the group may too. A file
    that cannot be created is left to who opens it next: that error says more.
    """
    with suppress(OSError):
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, _OWNER)
        try:
            if hasattr(os, "fchmod") and path.parent.stat().st_mode & _SHARED == _SHARED:
                # not by `os.open`: the umask would take the group's rights away
                os.fchmod(file, _GROUP)
        finally:
            os.close(file)
