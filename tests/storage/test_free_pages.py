"""What a flush leaves free in the database goes back to the disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import apsw

from storage import database
from storage.lake import Lake, Put

Make = Callable[..., dict[str, Any]]


def pages(lake: Lake) -> tuple[int, int]:
    with lake._database.reading() as connection:
        return (
            connection.execute("PRAGMA page_count").get,
            connection.execute("PRAGMA freelist_count").get,
        )


def test_a_flush_makes_the_file_smaller(tmp_path: Path, observation: Make) -> None:
    with mock.patch.object(database, "_SPARE_PAGES", 8), Lake.open(tmp_path / "lake") as lake:
        for start in range(0, 1500, 300):
            lake.transact(
                [Put(observation(f"o{n}", code=f"c{n}")) for n in range(start, start + 300)]
            )
        before, _ = pages(lake)
        lake.flush()
        after, free = pages(lake)
        assert free <= 8
        # The audit log stays: a row a commit, and each resource that it changed.
        assert after < before / 2
        assert lake.search("Observation", [("code", "c77")]).total == 1
        assert lake.verify() == []


def test_pages_are_given_back_a_step_at_a_time() -> None:
    connection = apsw.Connection(":memory:")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL; CREATE TABLE t (x)")
    connection.executemany("INSERT INTO t VALUES (zeroblob(4000))", [()] * 100)
    connection.execute("DELETE FROM t")
    free = connection.execute("PRAGMA freelist_count").get
    with mock.patch.multiple(database, _SPARE_PAGES=10, _GIVEN_BACK_PAGES=40):
        steps = 0
        while database.give_back_pages(connection):
            steps += 1
            assert steps < 20
    assert free >= 100
    assert connection.execute("PRAGMA freelist_count").get == 10
    assert steps >= 2


def test_a_database_under_a_new_key_gives_back_too(tmp_path: Path, observation: Make) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(observation())])
        lake.renew_keys()
        with lake._database.reading() as connection:
            assert connection.execute("PRAGMA auto_vacuum").get == 2
