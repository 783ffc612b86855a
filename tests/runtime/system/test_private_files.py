"""The mode of files that say what was spent."""

from __future__ import annotations

import os
import stat

import pytest

from llmmetrics.budgets.ledgers.locks import FileLock
from llmmetrics.system import private_files

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the modes are POSIX's")


def modes(directory):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.parametrize(
    ("directory", "expected"),
    [(0o700, 0o600), (0o755, 0o600), (0o775, 0o600), (0o2755, 0o600), (0o2770, 0o660), (0o2775, 0o660)],
    ids=oct,
)
def test_the_owner_alone_but_in_a_directory_of_its_group(tmp_path, umask, directory, expected):
    tmp_path.chmod(directory)
    private_files.create(tmp_path / "file")
    lock = FileLock(tmp_path / "lock")
    lock.close()
    assert modes(tmp_path) == {"file": expected, "lock": expected}


def test_a_file_that_exists_keeps_its_mode_and_its_content(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "file").chmod(0o640)
    private_files.create(tmp_path / "file")
    assert modes(tmp_path) == {"file": 0o640}
    assert (tmp_path / "file").read_text() == "x"
    private_files.create(tmp_path / "none" / "file")


def test_the_ledger_and_all_its_files(tmp_path, umask):
    from llmmetrics.budgets.ledgers.sqlite_file import SqliteFile

    file = SqliteFile(tmp_path / "spend.db", "normal")
    file.write(lambda db: db.execute("CREATE TABLE t (x)"))
    assert set(modes(tmp_path).values()) == {0o600}
    assert {"spend.db", "spend.db-wal", "spend.db-shm", "spend.db.lock"} <= modes(tmp_path).keys()
    file.close()
