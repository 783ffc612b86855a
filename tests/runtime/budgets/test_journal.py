"""The journal of unsent bookings: the next process of the same ledger takes it over."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest
from support.budget_setup import START

from llmmetrics.budgets.journal import Entry, Journal
from llmmetrics.budgets.ledgers import CallId
from llmmetrics.metrics.registry import PICO


def test_the_journal_of_a_process_with_the_same_id_is_taken_over(tmp_path):
    """A container's first process is always number 1."""
    before = tmp_path / f"n.{os.getpid()}.of-the-last-one.journal"
    entry = Entry("b", CallId("o", 0), 5, START)
    before.write_text(entry.line() + '["torn')
    journal = Journal(tmp_path, "n")
    assert not before.exists()
    # entries of living processes stay
    other = Journal(tmp_path, "n")
    assert not other
    told = []
    journal.replay(told.append)
    assert told == [entry]
    assert not list(tmp_path.iterdir())


AT = b'"2026-11-24T12:30:00+00:00"'
DAMAGED = {
    "not UTF-8": b'["b", "x\xff", 0, 5, %b, "known"]' % AT,
    "torn": b'["b", "x", 0, 5, "2026-11',
    "zeros": b"\0" * 300,
    "another shape": b'{"backend": 1, "id": 2, "amount": 3, "admitted": 4}',
    "too few": b'["b", "x", 5]',
    "an amount in words": b'["b", "x", 0, "5", %b, "known"]' % AT,
    "an amount above any ledger's": b'["b", "x", 0, 9000000000000000001, %b, "known"]' % AT,
    "an amount below 0": b'["b", "x", 0, -5, %b, "known"]' % AT,
    "a number that is none": b'["b", "x", 0, NaN, %b, "known"]' % AT,
    "a number of a call below 0": b'["b", "x", -1, 5, %b, "known"]' % AT,
    "a number of a call above any ledger's": b'["b", "x", 9007199254740992, 5, %b, "known"]' % AT,
    "an unknown basis": b'["b", "x", 0, 5, %b, "guessed"]' % AT,
    "no zone": b'["b", "x", 0, 5, "2026-11-24T12:30:00", "known"]',
    "of an older form, torn": b'["b", null, 5, %b]' % AT,
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("damaged", DAMAGED)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_damaged_line_of_a_journal_is_skipped(made, tmp_path, caplog, damaged, place):
    setup = made("1000", ledger=f"sqlite:///{tmp_path}/ledger.db")
    journal = setup.meter.engine.enforcer.budget.guard._journal
    lines = [Entry("b", CallId("o", n), 5 * PICO, START).line().encode() for n in range(2)]
    lines.insert(place, DAMAGED[damaged] + b"\n" * (place < 2))
    journal._directory.mkdir(parents=True, exist_ok=True)
    # no process has this number
    (journal._directory / f"{journal._name}.999999999.x.journal").write_bytes(b"".join(lines))
    with caplog.at_level(logging.ERROR, "llmmetrics"):
        setup = made("1000", ledger=f"sqlite:///{tmp_path}/ledger.db")
    assert setup.call().status_code == 200
    assert setup.spent == 13
    assert setup.value("llmmetrics_ledger_errors_total", kind="damaged") == 1
    assert "1 lines were damaged and are skipped" in caplog.text
    assert not list(journal._directory.iterdir())


def test_a_long_journal_is_left_to_the_thread(tmp_path):
    journal = Journal(tmp_path, "n")
    for n in range(3):
        journal.append(Entry("b", CallId("o", n), 5, START))
    told = []
    journal.replay(told.append, most=2)
    assert told == []
    journal.replay(told.append)
    assert [each.id.number for each in told] == [0, 1, 2]


def test_a_journal_that_is_booked_in_part_keeps_the_rest(tmp_path):
    journal = Journal(tmp_path, "n")
    for n in range(3):
        journal.append(Entry("b", CallId("o", n), 5, START))
    told = []

    def book(entry):
        if len(told) == 1:
            raise OSError
        told.append(entry.id.number)

    with pytest.raises(OSError):
        journal.replay(book)
    (file,) = tmp_path.iterdir()
    assert [json.loads(line)[2] for line in file.read_text().splitlines()] == [1, 2]
    journal.replay(lambda entry: told.append(entry.id.number))
    assert told == [0, 1, 2]


def test_a_journal_that_cannot_be_written_is_kept_in_memory(caplog):
    journal = Journal(Path("/proc/none"), "n")
    with caplog.at_level(logging.WARNING, "llmmetrics"):
        journal.append(Entry("b", CallId("o", 0), 5, START))
    assert "the journal in /proc/none cannot be written to" in caplog.text
    told = []
    journal.replay(told.append)
    assert len(told) == 1
