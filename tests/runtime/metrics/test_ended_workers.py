"""The files of ended workers become one, and every scrape shows the same counts: also after an interruption."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from llmmetrics.metrics import ended_workers
from llmmetrics.metrics.ended_workers import ENOUGH
from llmmetrics.metrics.multiprocess import MultiProcessCollector

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that are known to have ended")

WORKERS = ENOUGH


@pytest.fixture
def dead():
    """Ids of processes that have ended: above the highest that Linux gives."""
    return range(1 << 23, (1 << 23) + WORKERS)


def write(directory, kind, process, value, at=0.0, key=None):
    file = MmapedDict(str(directory / f"{kind}_{process}.db"))
    file.write_value(key or mmap_key("calls", "calls_total", ["backend"], ["b"], "help"), value, at)
    file.close()


@pytest.fixture
def directory(tmp_path, dead):
    """What workers have left: 1 to 64 calls each, and a health each; and one that lives."""
    for n, process in enumerate(dead, 1):
        write(tmp_path, "counter", process, n)
        health = mmap_key("llm_backend_health", "llm_backend_health", ["backend"], ["b"], "help")
        write(tmp_path, "gauge_mostrecent", process, n % 2, at=float(100 - n), key=health)
    write(tmp_path, "counter", os.getpid(), 1000)
    return tmp_path


TOTAL = sum(range(1, WORKERS + 1)) + 1000


def scraped(directory):
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(directory))
    return registry.get_sample_value("calls_total", {"backend": "b"})


def names(directory):
    return sorted(path.name for path in directory.iterdir() if path.name != "llmmetrics.lock")


MERGED = sorted([f"counter_{os.getpid()}.db", "counter_ended1.db", "gauge_mostrecent_ended1.db"])


def test_the_files_become_one_and_the_counts_stay(directory):
    assert scraped(directory) == TOTAL
    assert names(directory) == MERGED
    assert scraped(directory) == TOTAL


def test_of_a_gauge_the_latest_value_stays(directory):
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(directory))
    # the first worker has the latest time
    assert registry.get_sample_value("llm_backend_health", {"backend": "b"}) == 1


def test_few_files_are_left_alone(directory, dead):
    for process in dead[ENOUGH // 2 - 1 :]:
        for kind in ("counter", "gauge_mostrecent"):
            (directory / f"{kind}_{process}.db").unlink()
    before = names(directory)
    scraped(directory)
    assert names(directory) == before


def test_batch_after_batch(directory, dead):
    scraped(directory)
    for n, process in enumerate(dead, 1):
        write(directory, "counter", process, n)
    assert scraped(directory) == 2 * TOTAL - 1000
    assert "counter_ended2.db" in names(directory)
    assert "counter_ended1.db" not in names(directory)


class Killed(BaseException):
    """What kill -9 leaves: nothing after it runs."""


STEPS = ["rename", "unlink", "rmdir", "mkdir"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [0, 1, 2, 5, 64, 100, 128])
def test_a_merge_that_is_interrupted_is_completed(directory, monkeypatch, step, after):
    kind = type(directory)
    act, calls = getattr(kind, step), 0

    def stopping(self, *args, **options):
        nonlocal calls
        calls += 1
        if calls > after:
            raise Killed
        return act(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(kind, step, stopping)
        with suppress(Killed):
            scraped(directory)
    assert scraped(directory) == TOTAL
    assert scraped(directory) == TOTAL


def test_without_space_the_counts_stay(directory, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = names(directory)
    with monkeypatch.context() as patch:
        patch.setattr(ended_workers, "_write", full)
        assert scraped(directory) == TOTAL
        assert names(directory) == before
    assert scraped(directory) == TOTAL
    assert names(directory) == MERGED


def test_a_damaged_file_costs_its_own_counts_alone(directory, dead, caplog):
    path = directory / f"counter_{dead[0]}.db"
    path.write_bytes(path.read_bytes()[:4] + b"\xff" * 200)
    assert scraped(directory) == TOTAL - 1
    assert f"{path.name} is damaged" in caplog.text


def test_a_directory_that_cannot_be_written_to_is_read(directory, monkeypatch):
    monkeypatch.setattr(ended_workers, "_LOCK", "no such folder/lock")
    before = names(directory)
    assert scraped(directory) == TOTAL
    assert names(directory) == before


def test_a_process_that_is_no_worker_merges_nothing(directory):
    """An exporter in a container of its own sees none of the workers' processes."""
    (directory / f"counter_{os.getpid()}.db").unlink()
    before = names(directory)
    assert scraped(directory) == TOTAL - 1000
    assert names(directory) == before


def test_scrapes_at_once_show_the_same(directory):
    with ThreadPoolExecutor(8) as pool:
        assert {*pool.map(scraped, [directory] * 40)} == {TOTAL}


def test_processes_that_end_while_others_scrape(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    code = "from prometheus_client import Counter; Counter('calls', 'help', ['backend']).labels('b').inc()"
    shown = []
    write(tmp_path, "counter", os.getpid(), 0)
    monkeypatch.setattr(ended_workers, "ENOUGH", 4)
    for _ in range(12):
        subprocess.run([sys.executable, "-c", code], check=True)
        shown.append(scraped(tmp_path))
    assert shown == [*range(1, 13)]
    assert len([each for each in names(tmp_path) if each.startswith("counter")]) <= 4
