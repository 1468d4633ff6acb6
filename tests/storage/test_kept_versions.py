"""Versions in memory: bounded, and gone with an erasure."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from storage.kept_versions import KeptVersion, KeptVersions
from storage.lake import Lake, Put
from storage.versions import Version


def kept(id: str, body: bytes = b"{}") -> KeptVersion:
    now = datetime(2024, 1, 1, tzinfo=UTC)
    return KeptVersion(Version("Patient", id, 1, 1, now, "PUT", False, body), id)


def test_what_was_asked_for_least_recently_goes_first() -> None:
    versions = KeptVersions(limit_bytes=2_500)
    versions.keep([(1, kept("a", b"x" * 300)), (2, kept("b", b"x" * 300))], 0)
    assert set(versions.get([1], 0)) == {1}
    versions.keep([(3, kept("c", b"x" * 300))], 0)
    assert set(versions.get([1, 2, 3], 0)) == {1, 3}


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 2_000)), max_size=60))
def test_no_more_is_kept_than_the_limit(some: list[tuple[int, int]]) -> None:
    versions = KeptVersions(limit_bytes=10_000)
    for v, size in some:
        versions.keep([(v, kept(str(v), b"x" * size))], 0)
        found = versions.get(range(21), 0)
        assert sum(len(one.version.body) for one in found.values()) <= 10_000
        assert all(one.patient == str(v) for v, one in found.items())


def test_a_large_one_is_not_kept() -> None:
    versions = KeptVersions()
    versions.keep([(1, kept("a", b"x" * (2 * 2**20)))], 0)
    assert versions.get([1], 0) == {}


def test_an_erasure_empties_it_and_who_is_before_it_adds_nothing() -> None:
    versions = KeptVersions()
    versions.keep([(1, kept("a"))], 0)
    assert versions.get([1], 1) == {}
    versions.keep([(2, kept("b"))], 0)
    assert versions.get([1, 2], 0) == {} and versions.get([1, 2], 1) == {}


def test_a_search_gives_the_same_again_and_nothing_that_was_erased(
    lake: Lake, observation: Any, patient: Any
) -> None:
    lake.transact([Put(patient()), Put(observation("o1")), Put(observation("o2"))])
    asked = [("patient", "p1")]
    first = lake.search("Observation", asked)
    assert lake.search("Observation", asked).versions == first.versions
    lake.erase([("Observation", "o1")], reason="test")
    assert [v.id for v in lake.search("Observation", asked).versions] == ["o2"]
    assert not any(
        one.version.id == "o1" for one in lake._index.versions.get(range(1, 9), 1).values()
    )


def test_another_process_that_reads_gives_nothing_that_was_erased(
    tmp_path: Path, observation: Any, patient: Any
) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact([Put(patient()), Put(observation("o1")), Put(observation("o2"))])
        with Lake.open(tmp_path / "lake", read_only=True) as reader:
            asked = [("patient", "p1")]
            assert len(reader.search("Observation", asked).versions) == 2
            lake.erase([("Observation", "o1")], reason="test")
            assert [v.id for v in reader.search("Observation", asked).versions] == ["o2"]
            assert set(reader._index.versions.get(range(1, 9), 1)) == {3}
