"""Guards: what a condition matched stays so until the commit, or the commit is refused."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.outcomes import FhirError
from storage.commit_gate import CommitGate
from storage.lake import Delete, Guard, Lake, OvertakenError, Put, RefusedError
from storage.recent_versions import Generation, RecentVersions

_IDS = itertools.count(1)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with Lake.open(tmp_path_factory.mktemp("conditions") / "lake") as opened:
        yield opened


def patient(value: str, **more: Any) -> dict[str, Any]:
    identifier = [{"system": "urn:s", "value": value}]
    return {"resourceType": "Patient", "id": f"p{next(_IDS)}", "identifier": identifier, **more}


def test_a_match_stored_meanwhile_overtakes(lake: Lake) -> None:
    found = lake.find("Patient", [("identifier", "urn:s|meanwhile")])
    assert found.versions == []
    lake.transact([Put(patient("meanwhile"))])
    before = lake.t
    with pytest.raises(OvertakenError):
        lake.transact([Put(patient("meanwhile"))], guards=[found.guard])
    assert lake.t == before
    (match,) = lake.find("Patient", [("identifier", "urn:s|meanwhile")]).versions
    assert match.resource_type == "Patient"


def test_others_do_not_overtake(lake: Lake) -> None:
    found = lake.find("Patient", [("identifier", "urn:s|alone")])
    lake.transact([Put(patient("another")), Put({"resourceType": "Basic", "id": "b"})])
    lake.transact([Put(patient("alone"))], guards=[found.guard])


@pytest.mark.parametrize("change", ["update", "delete"])
def test_a_match_that_changes_overtakes(lake: Lake, change: str) -> None:
    known = patient(f"changing-{change}")
    lake.transact([Put(known)])
    found = lake.find("Patient", [("identifier", f"changing-{change}")])
    assert len(found.versions) == 1
    lake.transact([Put(known) if change == "update" else Delete("Patient", known["id"])])
    with pytest.raises(OvertakenError):
        lake.transact([Put(patient("x"))], guards=[found.guard])


def test_a_version_that_was_read_stays_current(lake: Lake) -> None:
    known = patient("read")
    lake.transact([Put(known)])
    t = lake.t
    guard = lake.guard(lake.read("Patient", known["id"], at=t), t)
    lake.transact([Put(known)], guards=[guard])
    with pytest.raises(OvertakenError):
        lake.transact([Put(known)], guards=[guard])


def test_known_answers_are_those_of_now(lake: Lake) -> None:
    asked = [("identifier", "known")]
    assert lake.find("Patient", asked).versions == lake.find("Patient", asked).versions == []
    first = patient("known")
    lake.transact([Put(first)])
    for version in (1, 2):
        for _ in range(2):
            (match,) = lake.find("Patient", asked).versions
            assert (match.id, match.version_id) == (first["id"], version)
        lake.transact([Put(first)])
    lake.transact([Delete("Patient", first["id"])])
    assert lake.find("Patient", asked).versions == lake.find("Patient", asked).versions == []


def test_nothing_erased_is_known(lake: Lake) -> None:
    erased = patient("erased")
    lake.transact([Put(erased)])
    assert lake.find("Patient", [("identifier", "erased")]).versions
    lake.erase([("Patient", erased["id"])], reason="test")
    assert not lake.find("Patient", [("identifier", "erased")]).versions


def test_what_was_decided_by_something_erased_is_not_stored(lake: Lake) -> None:
    read = patient("erased-meanwhile")
    lake.transact([Put(read)])
    t = lake.t
    version = lake.read("Patient", read["id"], at=t)
    guards = [
        lake.guard(version, t),
        lake.find("Patient", [("identifier", "erased-meanwhile")]).guard,
        lake.standing("Patient", read["id"], at=t),
    ]
    lake.erase([("Patient", read["id"])], reason="test")
    for guard in guards:
        assert guard is not None
        with pytest.raises(OvertakenError):
            lake.transact([Put(version.resource())], guards=[guard])
    with pytest.raises(FhirError) as failure:
        lake.read("Patient", read["id"])
    assert failure.value.category == "not-found"


def test_a_condition_over_other_types_is_overtaken_by_any(lake: Lake) -> None:
    found = lake.find("Patient", [("identifier:not", "urn:s|1")])
    lake.transact([Put({"resourceType": "Basic", "id": "b2"})])
    with pytest.raises(OvertakenError):
        lake.transact([Put(patient("x"))], guards=[found.guard])


@pytest.mark.parametrize("params", [[], [("_count", "1")], [("_sort:x", "1")], [("at", "1")]])
def test_what_is_no_condition(lake: Lake, params: list[tuple[str, str]]) -> None:
    with pytest.raises(FhirError) as refused:
        lake.find("Patient", params)
    assert refused.value.category == "invalid"


def test_many_matches_are_read_page_by_page(lake: Lake) -> None:
    lake.transact([Put(patient("many")) for _ in range(1100)])
    assert len(lake.find("Patient", [("identifier", "many")], limit=2).versions) == 2
    assert len(lake.find("Patient", [("identifier", "many")], limit=5000).versions) == 1100


def test_a_refusal_names_its_operation(lake: Lake) -> None:
    known = patient("refused")
    lake.transact([Put(known)])
    with pytest.raises(RefusedError) as refused:
        lake.transact([Put(patient("fine")), Put(known, if_match=7)])
    assert (refused.value.index, refused.value.category) == (1, "precondition")


# Whatever changes what a condition matches overtakes its guard.

_VALUES = st.sampled_from(["a", "A", "ab", "é", "b|c", 'x"y', "0"])
_NAMES = st.sampled_from(["Müller", "muller", "Mullerson", "van der  Berg", "X"])
_RESOURCES = st.fixed_dictionaries(
    {"id": st.sampled_from(["h1", "h2", "h3"])},
    optional={
        "identifier": st.lists(
            st.fixed_dictionaries({"value": _VALUES}, optional={"system": st.just("urn:s")}),
            min_size=1,
            max_size=2,
        ),
        "name": st.lists(st.fixed_dictionaries({"family": _NAMES}), min_size=1, max_size=2),
        "gender": st.sampled_from(["male", "female"]),
        "active": st.booleans(),
        "birthDate": st.sampled_from(["1970", "1970-01-01", "1980-02-03"]),
        "deceasedDateTime": st.just("2020"),
    },
).map(lambda resource: {"resourceType": "Patient", **resource})
_CRITERIA = st.one_of(
    st.tuples(st.just("identifier"), _VALUES | _VALUES.map("urn:s|{}".format) | st.just("|a")),
    st.tuples(st.sampled_from(["family", "family:exact", "family:contains", "name"]), _NAMES),
    st.tuples(st.just("gender"), st.sampled_from(["male", "female,male"])),
    st.tuples(st.sampled_from(["active", "deceased"]), st.sampled_from(["true", "false"])),
    st.tuples(st.just("birthdate"), st.sampled_from(["1970", "ge1975", "ne1970"])),
    st.tuples(st.just("_id"), st.sampled_from(["h1", "h2,h3"])),
    st.tuples(st.just("gender:missing"), st.sampled_from(["true", "false"])),
    st.tuples(st.just("gender:not"), st.just("male")),
    st.tuples(st.just("_lastUpdated"), st.just("ge2020")),
)


@given(
    before=st.lists(_RESOURCES, max_size=2),
    after=st.lists(_RESOURCES | st.sampled_from(["h1", "h2", "h3"]), min_size=1, max_size=2),
    params=st.lists(_CRITERIA, min_size=1, max_size=2),
)
def test_a_changed_answer_is_never_missed(
    lake: Lake, before: list[Any], after: list[Any], params: list[tuple[str, str]]
) -> None:
    for resource in before:
        lake.transact([Put(resource)])
    found = lake.find("Patient", params, limit=5000)
    seen = {(v.id, v.version_id) for v in found.versions}
    for one in after:
        try:
            lake.transact([Delete("Patient", one) if isinstance(one, str) else Put(one)])
        except FhirError as failure:
            assert failure.category == "not-found"
    # Found anew, or known from before: the same.
    now = {(v.id, v.version_id) for v in lake.find("Patient", params, limit=5000).versions}
    narrowed = [*params, ("_id", "h1,h2,h3")]
    searched = {
        (v.id, v.version_id) for v in lake.search("Patient", narrowed, strict=True).versions
    }
    assert {one for one in now if one[0] in ("h1", "h2", "h3")} == searched
    if now != seen:
        with pytest.raises(OvertakenError):
            lake.transact([Put({"resourceType": "Basic", "id": "h"})], guards=[found.guard])


def group(t: int, *versions: tuple[str, list[str] | None]) -> Generation:
    made = Generation()
    for id, identifiers in versions:
        made.add(t, (1, id), identifiers)
    return made


def test_which_versions_concern_a_guard() -> None:
    recent = RecentVersions(5)
    assert recent.overtakes(Guard(1, 4))
    assert not recent.overtakes(Guard(1, 5))
    recent.add(group(6, ("x", ["a"]), ("y", [])))
    assert not recent.overtakes(Guard(1, 5))
    assert recent.overtakes(Guard(None, 5))
    assert recent.overtakes(Guard(1, 5, None))
    assert recent.overtakes(Guard(1, 5, frozenset({"b", "a"})))
    assert not recent.overtakes(Guard(1, 5, frozenset({"b"})))
    assert recent.overtakes(Guard(1, 5, ids=frozenset({"y"})))
    assert not recent.overtakes(Guard(2, 5, None, frozenset({"y"})))
    assert not recent.overtakes(Guard(None, 6, None))
    recent.add(group(7, ("x", None)))
    assert not recent.overtakes(Guard(1, 6, None))  # A deletion meets no condition.
    assert recent.overtakes(Guard(1, 6, ids=frozenset({"x"})))
    recent.forget(8)
    assert recent.overtakes(Guard(2, 6))
    assert recent.overtakes(Guard(2, 7))
    assert not recent.overtakes(Guard(None, 8, None))


def test_memory_of_recent_versions_is_bounded() -> None:
    recent = RecentVersions(0)
    for t in range(1, 60):
        recent.add(group(t, *((f"{t}-{n}", [f"{t}"]) for n in range(1000))))
    assert recent.overtakes(Guard(1, 1))
    assert not recent.overtakes(Guard(1, 58, frozenset({"58"})))
    assert recent.overtakes(Guard(1, 58, frozenset({"59"})))
    assert not recent.overtakes(Guard(1, 51, frozenset({"51"})))
    assert sum(generation.count for generation in recent._kept[1:]) <= 22_000


def test_who_is_alone_waits_for_others_and_they_for_it() -> None:
    gate, inside, order = CommitGate(), threading.Event(), []
    release = threading.Event()

    def commit() -> None:
        with gate.passing():
            inside.set()
            release.wait(10)
            order.append("committed")

    def later() -> None:
        with gate.passing():
            order.append("later")

    first = threading.Thread(target=commit)
    first.start()
    inside.wait(10)

    def alone() -> None:
        with gate.alone(), gate.passing():
            second.start()
            second.join(0.1)
            order.append("alone")

    second = threading.Thread(target=later)
    third = threading.Thread(target=alone)
    third.start()
    release.set()
    for thread in (first, third, second):
        thread.join(10)
    assert order == ["committed", "alone", "later"]


def test_that_a_resource_stands_holds_until_the_commit(lake: Lake) -> None:
    lake.transact([Put({"resourceType": "Patient", "id": "p"})])
    before = lake.t
    assert lake.standing("Patient", "none", at=before) is None
    assert lake.standing("Observation", "p", at=before) is None
    guard = lake.standing("Patient", "p", at=before)
    assert guard is not None
    lake.transact([Put({"resourceType": "Basic", "id": "b"})], guards=[guard])
    lake.transact([Delete("Patient", "p")])
    with pytest.raises(OvertakenError):
        lake.transact([Put({"resourceType": "Basic", "id": "b"})], guards=[guard])
    assert lake.standing("Patient", "p", at=lake.t) is None
    assert lake.standing("Patient", "p", at=before) is not None
    lake.flush()
    assert lake.standing("Basic", "b", at=lake.t) is not None
