"""The order by patient, over hot and flushed versions, and what is counted in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from storage.index import build
from storage.lake import Delete, Lake, Put
from storage.query import patient_order

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def ward(lake: Lake, patient: Make, observation: Make, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Thirty observations of five patients and of nobody, most of them in many parts."""
    monkeypatch.setattr(build, "PART_ROWS", 3)
    for number in range(30):
        whose = f"p{number * 7 % 5}"
        made = observation(f"o{number:02}", patient=whose)
        if number % 10 == 9:
            del made["subject"]
        lake.transact([Put(made)])
        if number in (11, 23):
            lake.flush()
    lake.transact([Delete("Observation", "o05")])
    lake.transact([Put(observation("o06", patient="p2", status="amended"))])
    return lake


def expected(lake: Lake) -> list[str]:
    versions = lake.search("Observation", [("_count", "1000"), ("_sort", "_lastUpdated")]).versions
    keys = []
    for place, version in enumerate(versions):
        subject = version.resource().get("subject", {}).get("reference", "~")
        keys.append((subject, place, version.id))
    return [id for _, _, id in sorted(keys)]


@pytest.mark.parametrize("count", [1, 2, 5, 29])
def test_pages_by_patient(ward: Lake, count: int) -> None:
    whole = expected(ward)
    size = ("_count", str(count))
    pages = [ward.search("Observation", [size])]
    t = ward.t
    while pages[-1].next:
        # What is written and moved meanwhile changes nothing.
        ward.transact([Put({"resourceType": "Patient", "id": f"x{len(pages)}"})])
        if len(pages) == 2:
            ward.flush()
            ward.compact()
        pages.append(ward.search("Observation", [size, ("_cursor", pages[-1].next)]))
    assert [version.id for page in pages for version in page.versions] == whole
    assert {page.t for page in pages} == {t}
    assert all(page.total is None for page in pages if len(pages) > 1)
    back = [pages[-1]]
    while back[-1].previous:
        back.append(ward.search("Observation", [size, ("_cursor", back[-1].previous)]))
    assert [v.id for page in back[::-1] for v in page.versions] == whole


def test_totals_are_there_when_asked_for(ward: Lake) -> None:
    for more in ([("_total", "accurate")], [("_total", "estimate")]):
        assert ward.search("Observation", [("_count", "3"), *more]).total == 29
    assert ward.search("Observation", [("_count", "0")]).total == 29
    assert ward.search("Observation", [("_count", "50")]).total == 29
    assert ward.search("Observation", [("_count", "3")]).total is None
    assert ward.search("Observation", [("_count", "3"), ("_sort", "date")]).total == 29


def test_few_parts_keep_the_order_of_commits(ward: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient_order, "FEW_PARTS", 100)
    found = ward.search("Observation", [("_count", "3")])
    assert [version.id for version in found.versions] == ["o00", "o01", "o02"]
    assert found.total == 29
