"""Merges the files of ended worker processes: each scrape reads all of a directory, and servers replace their workers.

The files of a batch are moved into a folder with the batch's number, merged with the result of the batch before into a
file with this number, and removed with it. A folder whose file exists is merged: so what interrupts this loses and
doubles nothing, and the next scrape completes it.
"""

from __future__ import annotations

import logging
import os
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from prometheus_client.mmap_dict import MmapedDict

from llmmetrics.system.processes import alive, files

log = logging.getLogger("llmmetrics")

ENOUGH = 64
"""Files of ended processes that are merged at once."""

_Value = tuple[float, float]
"""A value, and when it was set."""

_Join = Callable[[_Value, _Value], _Value]


def _sum(one: _Value, other: _Value) -> _Value:
    return one[0] + other[0], max(one[1], other[1])


def _latest(one: _Value, other: _Value) -> _Value:
    return one if one[1] > other[1] else other


_KINDS: Mapping[str, _Join] = {
    **dict.fromkeys(("counter", "histogram", "summary"), _sum),
    "gauge_mostrecent": _latest,
}
"""What two values of a series come to, by how their files' names begin. Other gauges stay as they are."""

_LOCK = "llmmetrics.lock"
_FOLDER = re.compile(r"ended-(\d+)")
_read: Any = MmapedDict.read_all_values_from_file
_open: Any = MmapedDict


@contextmanager
def merged(directory: str) -> Iterator[None]:
    """Merge the files of ended processes if they are many; no other process merges within the block.

    A process that may not write to the directory, or has no counts there, leaves it to the others.
    """
    lock = _locked(Path(directory, _LOCK))
    try:
        if lock is not None:
            with suppress(OSError):
                _merge(Path(directory))
        yield
    finally:
        if lock is not None:
            lock.close()


def _locked(path: Path) -> IO[str] | None:
    """Lock a file until it is closed; None if it cannot be."""
    if os.name == "nt":
        # no process is known to have ended there
        return None
    import fcntl

    try:
        lock = path.open("a")
    except OSError:
        return None
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _merge(directory: Path) -> None:
    if not _folders(directory):
        if not any(directory.glob(f"*_{os.getpid()}.db")):
            # no worker: to an exporter in a container of its own, all workers seem to have ended
            return
        dead = [path for kind in _KINDS for path, owner in files(str(directory), f"{kind}_*.db") if not alive(owner)]
        if len(dead) < ENOUGH:
            return
        number = max((_number(path) for kind in _KINDS for path in _results(directory, kind)), default=0) + 1
        folder = directory / f"ended-{number}"
        folder.mkdir()
        for path in dead:
            path.rename(folder / path.name)
    for number, folder in _folders(directory).items():
        for kind, join in _KINDS.items():
            _merge_kind(folder, kind, number, join)
        folder.rmdir()


def _merge_kind(folder: Path, kind: str, number: int, join: _Join) -> None:
    """Merge the files of one kind in a folder, and remove them. If that fails, they are where they were."""
    directory, moved = folder.parent, [*folder.glob(f"{kind}_*.db")]
    result = directory / f"{kind}_ended{number}.db"
    before = [path for path in _results(directory, kind) if _number(path) < number]
    if moved and not result.exists():
        made = folder / f"{kind}.new"
        try:
            made.unlink(missing_ok=True)
            _write(made, _joined((*before, *moved), join))
        except OSError:
            # no space: the counts are not to vanish meanwhile
            made.unlink(missing_ok=True)
            for path in moved:
                path.rename(directory / path.name)
            return
        made.rename(result)
    if result.exists():
        for path in (*before, *moved):
            path.unlink(missing_ok=True)


def _joined(paths: Iterable[Path], join: _Join) -> Mapping[str, _Value]:
    """Read files into the values of their series."""
    values: dict[str, _Value] = {}
    for path in paths:
        rows = _rows(path)
        if rows is None:
            log.warning("%s is damaged: the counts of an ended worker process are lost", path.name)
        for key, value, at, _ in rows or ():
            values[key] = join(values[key], (value, at)) if key in values else (value, at)
    return values


def _rows(path: Path) -> list[tuple[str, float, float, int]] | None:
    """Read a file; None for one whose process was killed while it wrote."""
    try:
        rows: list[tuple[str, float, float, int]] = [*_read(str(path))]
    except (RuntimeError, UnicodeError, struct.error):
        return None
    # each key is a list, as JSON
    return rows if all(key.startswith("[") for key, *_ in rows) else None


def _write(path: Path, values: Mapping[str, _Value]) -> None:
    target = _open(str(path))
    try:
        for key, (value, at) in values.items():
            target.write_value(key, value, at)
    finally:
        target.close()


def _folders(directory: Path) -> Mapping[int, Path]:
    """Return the batches that are not merged yet, or not removed."""
    found = {int(match[1]): path for path in directory.iterdir() if (match := _FOLDER.fullmatch(path.name))}
    return dict(sorted(found.items()))


def _results(directory: Path, kind: str) -> Iterator[Path]:
    """Yield what earlier batches were merged into: one file, or two if a merge was interrupted."""
    return directory.glob(f"{kind}_ended*.db")


def _number(result: Path) -> int:
    return int(result.stem.rpartition("_ended")[2])
