"""PROMETHEUS_MULTIPROC_DIR: what is wrong with a directory, and what is said of it."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

import pytest
from support import alone

from llmmetrics.system import processes

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "multiproc").mkdir()
    return tmp_path / "multiproc"


METER = """
import os, sys, logging
logging.basicConfig(format="%(message)s")
import prometheus_client
exec(sys.argv[1])
from llmmetrics import Meter, ConfigError
try:
    Meter()
except ConfigError as exc:
    print(exc)
"""


def said(code=""):
    """What is printed and logged while a meter is made."""
    return alone(f"import sys; sys.stderr = sys.stdout\n{METER}", code)


def test_a_directory_that_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "none"))
    assert said() == (
        f"PROMETHEUS_MULTIPROC_DIR='{tmp_path}/none' does not exist: create it, empty, before the server starts\n"
    )


def test_a_directory_that_is_a_file(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "file"))
    assert "is not a directory: set it to a directory" in said()


def test_a_directory_that_cannot_be_written_to(monkeypatch):
    # no user can, not even root
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/proc/self")
    assert "is not writable" in said()


def test_a_directory_that_is_set_to_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    monkeypatch.chdir(tmp_path)
    assert "is empty: set it to the path of an empty directory, or unset it" in said()


def test_a_page_that_may_only_read_leaves_dead_workers_to_others(directory, monkeypatch):
    dead = directory / "gauge_livesum_999999999.db"
    dead.touch()
    monkeypatch.setattr(Path, "unlink", mock.Mock(side_effect=PermissionError(13, "Permission denied")))
    processes.sweep(str(directory))
    assert dead.exists()


def test_a_directory_that_holds_another_run(directory, monkeypatch):
    (directory / "counter_999999999.db").touch()
    (directory / "gauge_livesum_999999999.db").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(directory))
    assert "holds the numbers of ended processes" in said()
    for path in directory.iterdir():
        path.unlink()
    # what a scrape has made of many
    (directory / "counter_ended3.db").touch()
    assert "holds the numbers of ended processes" in said()
    # a worker that comes later joins the living
    (directory / f"counter_{os.getpid()}.db").touch()
    assert said() == ""


def test_a_directory_that_is_named_too_late(directory, monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    late = f"os.environ['PROMETHEUS_MULTIPROC_DIR'] = {str(directory)!r}"
    assert "was set after prometheus_client was imported" in said(late)


def test_a_directory_that_is_forgotten(directory, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(directory))
    assert "keep it set" in said("del os.environ['PROMETHEUS_MULTIPROC_DIR']")
