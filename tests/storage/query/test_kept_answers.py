"""What searches keep in memory is never older than what is stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.lake import Delete, Lake, Put
from storage.query import search as searching
from storage.query.criterion import criterion
from storage.query.dependence import depends_on
from storage.query.tree import AllOf, Chain, InList, Link, Reverse

Make = Callable[..., dict[str, Any]]


def ids(lake: Lake, resource_type: str, *params: tuple[str, str]) -> list[str]:
    return [v.id for v in lake.search(resource_type, list(params)).versions]


HAS = ("_has:Observation:patient:code", "4548-4")
CHAIN = ("subject:Patient.gender", "female")


def test_joined_sets_follow_the_types_that_they_are_of(
    lake: Lake, observation: Make, patient: Make
) -> None:
    lake.transact([Put(patient("p1")), Put(patient("p2")), Put(observation("o1", patient="p1"))])
    for _ in range(2):
        assert ids(lake, "Patient", HAS) == ["p1"]
        assert ids(lake, "Observation", CHAIN) == ["o1"]
    lake.transact([Put(observation("o2", patient="p2"))])
    assert ids(lake, "Patient", HAS) == ["p1", "p2"]
    assert ids(lake, "Observation", CHAIN) == ["o1", "o2"]
    lake.transact([Put(patient("p1", gender="male"))])
    assert ids(lake, "Observation", CHAIN) == ["o2"]
    t = lake.t
    lake.transact([Delete("Observation", "o1"), Delete("Patient", "p2")])
    assert ids(lake, "Patient", HAS) == []
    assert ids(lake, "Observation", CHAIN) == []
    assert [v.id for v in lake.search("Observation", [CHAIN], at=t).versions] == ["o2"]


@pytest.mark.parametrize("flushed", [False, True])
def test_a_set_is_kept_while_other_types_are_written(
    lake: Lake, observation: Make, patient: Make, flushed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.transact([Put(patient("p1")), Put(observation("o1"))])
    if flushed:
        lake.flush()
    assert ids(lake, "Observation", CHAIN) == ["o1"]
    kept = len(lake._index.sets._kept)
    lake.transact([Put(observation("o2"))])
    assert ids(lake, "Observation", CHAIN) == ["o1", "o2"]
    assert len(lake._index.sets._kept) <= kept + 1  # The page's order; no other set of ids.
    assert [key[0] for key in lake._index.sets._kept].count("matching") == 1


def test_a_wide_search_is_the_same_whether_its_order_is_kept(lake: Lake, observation: Make) -> None:
    for start in range(0, 60, 20):
        lake.transact([Put(observation(f"o{n}")) for n in range(start, start + 20)])
    lake.flush()
    lake.transact([Put(observation(f"o{n}")) for n in range(55, 70)])
    asked = [("code", "4548-4"), ("_count", "7")]
    for sort in ([], [("_sort", "-_lastUpdated")]):
        pages: list[list[list[str]]] = []
        for _ in range(3):
            walked, cursor = [], [("_count", "7")]
            while cursor:
                page = lake.search("Observation", [*asked[:1], *sort, *cursor])
                assert page.total == 70
                walked.append([v.id for v in page.versions])
                cursor = [("_cursor", page.next), ("_count", "7")] if page.next else []
            pages.append(walked)
        assert pages[0] == pages[1] == pages[2]
        assert len({id for page in pages[0] for id in page}) == 70
    assert any(
        key[0] == "order" and one is not searching._SEEN
        for key, one in lake._index.sets._kept.items()
    )
    lake.transact([Put(observation("fresh"))])
    assert lake.search("Observation", asked).total == 71
    assert (
        lake.search("Observation", [*asked, ("_sort", "-_lastUpdated")]).versions[0].id == "fresh"
    )


def test_going_back_is_the_same_too(lake: Lake, observation: Make) -> None:
    lake.transact([Put(observation(f"o{n:02}")) for n in range(30)])
    asked = [("code", "4548-4"), ("_count", "10")]
    for _ in range(3):
        first = lake.search("Observation", asked)
        second = lake.search("Observation", [*asked, ("_cursor", str(first.next))])
        assert second.previous
        again = lake.search("Observation", [*asked, ("_cursor", second.previous)])
        assert [v.id for v in again.versions] == [v.id for v in first.versions]


def test_a_code_that_nothing_has_is_found_once_something_has_it(
    lake: Lake, observation: Make
) -> None:
    lake.transact([Put(observation("o1"))])
    asked = [("code", "urn:new|x"), ("patient", "p9")]
    assert ids(lake, "Observation", *asked) == [] == ids(lake, "Observation", *asked)
    one = observation("o2", patient="p9")
    one["code"] = {"coding": [{"system": "urn:new", "code": "x"}]}
    lake.transact([Put(one)])
    assert ids(lake, "Observation", *asked) == ["o2"]
    assert ids(lake, "Observation", ("code", "urn:new|x,urn:newer|x")) == ["o2"]
    one["code"]["coding"][0]["system"] = "urn:newer"
    lake.transact([Put({**one, "id": "o3"})])
    assert ids(lake, "Observation", ("code", "urn:new|x,urn:newer|x")) == ["o2", "o3"]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("pq"), st.sampled_from(["x", "y", None])),
        min_size=1,
        max_size=12,
    )
)
def test_each_write_is_in_the_next_search(
    lake: Lake, observation: Make, steps: list[tuple[str, str, str | None]]
) -> None:
    stored: dict[str, tuple[str, str]] = {}
    for version in lake.search("Observation", [("_count", "100")]).versions:
        lake.transact([Delete("Observation", version.id)])
    for id, patient, code in steps:
        if code is None:
            if id in stored:
                lake.transact([Delete("Observation", id)])
            stored.pop(id, None)
        else:
            lake.transact([Put(observation(id, code=code, patient=patient))])
            stored[id] = (patient, code)
        for wanted in ("p", "q"):
            expected = {o for o, (p, c) in stored.items() if (p, c) == (wanted, "x")}
            page = lake.search("Observation", [("patient", wanted), ("code", "x")])
            assert {v.id for v in page.versions} == expected and page.total == len(expected)
            bodies = [json.loads(v.body)["subject"]["reference"] for v in page.versions]
            assert all(one == f"Patient/{wanted}" for one in bodies)
        total = sum(code == "x" for _, code in stored.values())
        assert lake.search("Observation", [("code", "x")]).total == total


def test_the_types_that_an_answer_depends_on() -> None:
    female = criterion("Patient", "gender", "female")
    code = criterion("Observation", "code", "x")
    assert female is not None and code is not None
    chain = Chain("subject.gender", (Link("subject", "Patient", female),))
    has = Reverse("_has:Observation:patient:code", "Observation", "patient", code)
    assert depends_on({"Patient": (female,)}) == {"Patient"}
    assert depends_on({"Observation": (AllOf((code, chain)),)}) == {"Observation", "Patient"}
    assert depends_on({"Patient": (has,)}) == {"Observation", "Patient"}
    assert depends_on({"Patient": (InList("_list", ("1",)),)}) is None
    for name, value in (("birthdate", "ap1970"), ("_lastUpdated", "gt2020")):
        of_today = criterion("Patient", name, value)
        assert of_today is not None and depends_on({"Patient": (of_today,)}) is None
    in_set = criterion("Observation", "code:in", "http://e/vs")
    assert in_set is not None and depends_on({"Observation": (in_set,)}) is None
