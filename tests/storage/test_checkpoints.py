"""A long log is copied into the database, and not again with each commit after that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from storage import checkpoints
from storage.checkpoints import Checkpoints


class Counted:
    """A connection whose checkpoints are counted; one fails when it is told to."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.count = 0
        self.fails = False

    def set_wal_hook(self, hook: Any) -> None:
        self.connection.set_wal_hook(hook)

    def wal_checkpoint(self, *, mode: int) -> tuple[int, int]:
        self.count += 1
        if self.fails:
            raise apsw.FullError("database or disk is full")
        return self.connection.wal_checkpoint(mode=mode)


class Log:
    """A database with a write-ahead log, checkpointed as the writer does it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = apsw.Connection(str(path))
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("CREATE TABLE one (text TEXT)")
        self.counted = Counted(self.connection)
        self.checkpoints = Checkpoints(self.counted)  # type: ignore[arg-type]

    def commit(self, times: int) -> int:
        """Commits of a page and a little more each; the checkpoints that there were."""
        before = self.counted.count
        for _ in range(times):
            self.connection.execute("INSERT INTO one VALUES (?)", ("x" * 3_000,))
            self.checkpoints.run_if_due()
        return self.counted.count - before

    @property
    def size(self) -> int:
        """Of the log, in bytes."""
        return self.path.with_name(f"{self.path.name}-wal").stat().st_size


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    monkeypatch.setattr(checkpoints, "CHECKPOINT_PAGES", 64)
    monkeypatch.setattr(checkpoints, "_STEP_PAGES", 16)
    opened = Log(tmp_path / "db")
    yield opened
    opened.connection.close()


def test_a_short_log_is_left_alone_and_a_long_one_begins_anew(log: Log) -> None:
    assert log.commit(10) == 0
    assert log.commit(400) >= 5
    assert log.size < 100 * 4_200


def test_a_reader_does_not_make_each_commit_copy(log: Log) -> None:
    reader = apsw.Connection(str(log.path))
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM one").fetchall()
    pages = 3  # At most, of each commit.
    assert 1 <= log.commit(300) <= 300 * pages / 16
    reader.execute("ROLLBACK")
    reader.close()
    assert log.commit(40) >= 1
    long = log.size
    log.commit(60)
    assert log.size == long  # It was begun anew: its file keeps its length.
    found = log.connection.execute("SELECT count(*) FROM one").get
    assert found == 400


def test_one_that_failed_is_done_later(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.counted.fails = True
    with pytest.raises(apsw.FullError):
        log.commit(200)
    assert log.commit(20) == 0  # Not before a moment has passed.
    log.counted.fails = False
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: 1e12)
    assert log.commit(1) == 1
