"""The index is rebuilt from bodies while others search and write; what is stray goes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from unittest import mock

import apsw
import pytest

from storage import flush
from storage.index import build
from storage.lake import Delete, Lake, Put

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def tiers(lake: Lake, observation: Make) -> Lake:
    """Several segments of several parts, hot versions, deletions in both."""
    with mock.patch.object(flush, "SEGMENT_ROWS", 10), mock.patch.object(build, "PART_ROWS", 4):
        lake.transact([Put(observation(f"o{n:02}", code=f"c{n % 3}")) for n in range(25)])
        lake.transact([Delete("Observation", "o03")])
        lake.flush()
        lake.transact([Put(observation(f"o{n:02}", code="c9")) for n in range(20, 30)])
        lake.transact([Delete("Observation", "o29")])
        yield lake


def run(lake: Lake, *statements: str) -> None:
    def change(connection: apsw.Connection) -> None:
        for sql in statements:
            connection.execute(sql)

    lake._writer.run(change)


def ids(lake: Lake, code: str) -> list[str]:
    found = lake.search("Observation", [("code", code), ("_count", "100"), ("_sort", "_id")])
    return [version.id for version in found.versions]


@pytest.mark.parametrize(
    "damage",
    [
        ["DELETE FROM index_part", "DELETE FROM token_index"],
        ["DELETE FROM index_block"],
        ["UPDATE index_block SET block = zeroblob(20)"],
        ["UPDATE index_part SET directory = x'00', versions = x'00'"],
        ["INSERT INTO token_index (v, p, code, system) SELECT v, 1, 'stray', 0 FROM version"],
        ["INSERT INTO index_block SELECT id + 99, block FROM index_block"],
        ["UPDATE token_index SET code = 'other'", "UPDATE date_index SET low = low + 1"],
    ],
    ids=lambda damage: damage[0][:30],
)
def test_any_damage_is_mended(tiers: Lake, damage: list[str]) -> None:
    expected = {code: ids(tiers, code) for code in ("c0", "c1", "c9")}
    run(tiers, *damage)
    assert tiers.verify() != []
    tiers.reindex()
    assert tiers.verify() == []
    assert {code: ids(tiers, code) for code in expected} == expected


def test_searches_and_writes_go_on(tiers: Lake, observation: Make) -> None:
    expected = ids(tiers, "c1")
    done = threading.Event()
    failures: list[BaseException] = []
    written = 0

    def read() -> None:
        try:
            while not done.is_set():
                assert ids(tiers, "c1") == expected
        except BaseException as failure:
            failures.append(failure)

    def write() -> None:
        nonlocal written
        try:
            while not done.is_set() and written < 200:
                tiers.transact([Put(observation(f"new{written}", code="c7"))])
                written += 1
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work) for work in (read, write)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        tiers.reindex()
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    page = tiers.search("Observation", [("code", "c7"), ("_count", "0")])
    assert page.total == written
    assert tiers.verify() == []
