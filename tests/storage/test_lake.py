"""Transactions, reads, history, changes and cursors."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.outcomes import FhirError
from schemas.parse import parse_resource
from storage import commit
from storage.lake import Delete, Lake, Put

Make = Callable[..., dict[str, Any]]


def refused(lake: Lake, *operations: Put | Delete, **options: Any) -> FhirError:
    before = lake.t, lake.stats()["versions"]
    with pytest.raises(FhirError) as failure:
        lake.transact(operations, **options)
    assert (lake.t, lake.stats()["versions"]) == before
    return failure.value


def test_body_keeps_what_came_and_gets_its_stamp(lake: Lake) -> None:
    body = (
        b'{"resourceType":"Observation","id":"o","meta":{"source":"urn:x","versionId":"77",'
        b'"tag":[{"code":"t"}]},"status":"final","_status":{"id":"s"},"code":{"text":"\xc3\xa9"},'
        b'"valueQuantity":{"value":1.50}}'
    )
    commit = lake.transact([Put(parse_resource(body), method="POST")])
    version = commit.versions[0]
    assert (version.version_id, version.t, version.method, version.deleted) == (1, 1, "POST", False)
    assert b'"value":1.50' in version.body
    meta = version.resource()["meta"]
    assert meta["versionId"] == "1"
    assert meta["lastUpdated"].endswith("Z") and len(meta["lastUpdated"]) == 24
    assert meta["tag"] == [{"code": "t"}] and meta["source"] == "urn:x"
    expected = {**json.loads(body), "meta": meta}
    assert {**json.loads(version.body)} == {**expected}
    assert list(json.loads(version.body)) == list(json.loads(body))
    assert lake.read("Observation", "o") == version
    assert version.last_updated == commit.instant


def test_the_callers_resource_is_left_alone(lake: Lake, patient: Make) -> None:
    resource = patient(meta={"tag": [{"code": "x"}]})
    before = json.dumps(resource)
    lake.transact([Put(resource)])
    assert json.dumps(resource) == before


def test_what_is_indexed_is_what_is_stored_also_for_floats(lake: Lake, observation: Make) -> None:
    lake.transact([Put(observation(valueQuantity={"value": 8.25, "unit": "%"}))])
    assert lake.search("Observation", [("value-quantity", "8.25||%")]).total == 1
    stored = lake.read("Observation", "o1").resource()
    assert stored["valueQuantity"]["value"] == Decimal("8.25")
    assert lake.verify() == []


def test_versions_are_numbered_through_deletion(lake: Lake, patient: Make) -> None:
    lake.transact([Put(patient())])
    lake.transact([Put(patient(active=True))])
    gone = lake.transact([Delete("Patient", "p1")]).versions[0]
    assert (gone.version_id, gone.deleted, gone.body, gone.method) == (3, True, b"", "DELETE")
    with pytest.raises(FhirError) as failure:
        lake.read("Patient", "p1")
    assert failure.value.category == "deleted"
    assert lake.transact([Put(patient())]).versions[0].version_id == 4
    assert lake.read("Patient", "p1").version_id == 4
    assert [lake.read("Patient", "p1", at=t).version_id for t in (1, 2, 4)] == [1, 2, 4]
    assert lake.vread("Patient", "p1", 3).deleted


def test_deleting_twice_changes_nothing(lake: Lake, patient: Make) -> None:
    lake.transact([Put(patient())])
    first = lake.transact([Delete("Patient", "p1")])
    second = lake.transact([Delete("Patient", "p1")])
    assert second.versions == first.versions
    assert second.t == lake.t == 2


def test_deleting_what_never_was_is_told_apart(lake: Lake) -> None:
    assert refused(lake, Delete("Patient", "never")).category == "not-found"


def test_unknown_ids_versions_and_types(lake: Lake, patient: Make) -> None:
    lake.transact([Put(patient())])
    for resource_type, id in (("Patient", "other"), ("Observation", "p1"), ("Nonsense", "p1")):
        with pytest.raises(FhirError) as failure:
            lake.read(resource_type, id)
        assert failure.value.category == "not-found"
    for version in (0, 2, -1, 2**80):
        with pytest.raises(FhirError):
            lake.vread("Patient", "p1", version)
    for at in (-1, 2, 10**30, True, 1.0, "1"):
        with pytest.raises(FhirError) as failure:
            lake.read("Patient", "p1", at=at)  # type: ignore[arg-type]
        assert failure.value.category == "value"
    with pytest.raises(FhirError) as failure:
        lake.read("Patient", "p1", at=0)
    assert failure.value.category == "not-found"


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Nonsense", "id": "x"},
        {"id": "x"},
        {"resourceType": "Patient"},
        {"resourceType": "Patient", "id": ""},
        {"resourceType": "Patient", "id": "a b"},
        {"resourceType": "Patient", "id": "x" * 65},
        {"resourceType": "Patient", "id": 7},
    ],
)
def test_resources_without_type_or_id_are_refused(lake: Lake, resource: dict[str, Any]) -> None:
    assert refused(lake, Put(resource)).category == "invalid"


def test_two_operations_on_one_resource_are_refused(lake: Lake, patient: Make) -> None:
    assert refused(lake, Put(patient()), Put(patient())).category == "invalid"
    assert refused(lake, Put(patient()), Delete("Patient", "p1")).category == "invalid"


def test_if_match(lake: Lake, patient: Make) -> None:
    assert refused(lake, Put(patient(), if_match=1)).category == "precondition"
    lake.transact([Put(patient())])
    assert refused(lake, Put(patient(), if_match=2)).category == "precondition"
    assert lake.transact([Put(patient(), if_match=1)]).versions[0].version_id == 2
    assert refused(lake, Delete("Patient", "p1", if_match=1)).category == "precondition"
    assert lake.transact([Delete("Patient", "p1", if_match=2)]).versions[0].deleted


def test_must_not_exist(lake: Lake, patient: Make) -> None:
    lake.transact([Put(patient(), must_not_exist=True)])
    assert refused(lake, Put(patient(), must_not_exist=True)).category == "conflict"
    lake.transact([Delete("Patient", "p1")])
    assert lake.transact([Put(patient(), must_not_exist=True)]).versions[0].version_id == 3


def test_a_transaction_is_whole_or_not_at_all(lake: Lake, patient: Make) -> None:
    lake.transact([Put(patient("a"))])
    failure = refused(
        lake, Put(patient("b")), Put(patient("a"), if_match=9), cursor=("consumer", 5)
    )
    assert failure.category == "precondition"
    assert lake.cursor("consumer") == 0
    with pytest.raises(FhirError):
        lake.read("Patient", "b")
    assert lake.search("Patient", []).total == 1
    assert lake.verify() == []


def test_one_refusal_in_a_group_harms_no_other(lake: Lake, patient: Make) -> None:
    lake.transact([Put(patient("base"))])
    outcomes: dict[int, str] = {}

    def write(number: int) -> None:
        options = {"if_match": 99} if number % 3 == 0 else {}
        try:
            lake.transact([Put(patient(f"n{number}")), Put(patient(f"m{number}"), **options)])
            outcomes[number] = "stored"
        except FhirError as failure:
            outcomes[number] = failure.category

    threads = [threading.Thread(target=write, args=(n,)) for n in range(48)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(outcomes[n] == ("precondition" if n % 3 == 0 else "stored") for n in range(48))
    assert lake.search("Patient", [("_count", "0")]).total == 1 + 2 * 32
    assert lake.t == 33
    changes = lake.changes(1)
    assert [v.t for v in changes] == sorted(t for t in range(2, 34) for _ in range(2))
    assert lake.verify() == []


def test_lost_update_is_impossible_with_if_match(lake: Lake, patient: Make) -> None:
    lake.transact([Put(patient())])
    won: list[int] = []

    def write(number: int) -> None:
        try:
            lake.transact([Put(patient(multipleBirthInteger=number), if_match=1)])
            won.append(number)
        except FhirError as failure:
            assert failure.category == "precondition"

    threads = [threading.Thread(target=write, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert lake.read("Patient", "p1").resource()["multipleBirthInteger"] == won[0]


def test_time_never_runs_back(lake: Lake, patient: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    first = lake.transact([Put(patient())])
    monkeypatch.setattr(commit.time, "time_ns", lambda: 0)
    second = lake.transact([Put(patient())])
    assert second.instant == first.instant
    assert second.t == first.t + 1


def test_history_pages_are_of_one_moment(lake: Lake, patient: Make) -> None:
    for _ in range(5):
        lake.transact([Put(patient())])
    assert [v.version_id for v in lake.history("Patient", "p1").versions] == [5, 4, 3, 2, 1]
    page = lake.history("Patient", "p1", count=2)
    lake.transact([Delete("Patient", "p1")])
    seen = [v.version_id for v in page.versions]
    while page.next:
        page = lake.history("Patient", "p1", count=2, cursor=page.next)
        assert page.total == 5
        seen += [v.version_id for v in page.versions]
    assert seen == [5, 4, 3, 2, 1]
    assert lake.history("Patient", "p1", count=2).versions[0].deleted
    other = lake.history("Patient", "p1", count=2).next
    lake.transact([Put(patient("p2"))])
    for cursor in ("", "x", "AAAA", other):
        with pytest.raises(FhirError) as failure:
            lake.history("Patient", "p2", count=2, cursor=cursor)
        assert failure.value.category == "value"
    with pytest.raises(FhirError) as failure:
        lake.history("Patient", "never")
    assert failure.value.category == "not-found"


def test_changes_in_commit_order_by_type(lake: Lake, patient: Make, observation: Make) -> None:
    lake.transact([Put(patient()), Put(observation())])
    lake.transact([Put(observation("o2"))])
    lake.transact([Delete("Observation", "o1")])
    assert [(v.t, v.id, v.deleted) for v in lake.changes(0)] == [
        (1, "p1", False),
        (1, "o1", False),
        (2, "o2", False),
        (3, "o1", True),
    ]
    assert [v.id for v in lake.changes(1, types=["Observation"])] == ["o2", "o1"]
    assert [v.id for v in lake.changes(0, types=["Patient", "Encounter"])] == ["p1"]
    assert [v.id for v in lake.changes(0, limit=2)] == ["p1", "o1"]
    assert lake.changes(3) == []
    assert lake.count_changes(0) == 4
    assert lake.count_changes(1, types=["Observation"]) == 2
    assert lake.count_changes(0, types=["Encounter"]) == 0


def test_cursor_moves_with_its_transaction(tmp_path: Path, patient: Make) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        assert lake.cursor("nlp") == 0
        lake.transact([Put(patient())], cursor=("nlp", 7))
        commit = lake.transact([], cursor=("nlp", 8))
        assert (commit.t, commit.versions, lake.t) == (1, [], 1)
    with Lake.open(tmp_path / "lake") as lake:
        assert (lake.cursor("nlp"), lake.cursor("other"), lake.t) == (8, 0, 1)


def test_everything_is_there_after_reopening(tmp_path: Path, patient: Make) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        stored = lake.transact([Put(patient())]).versions[0]
        lake.close(flush=True)
    with Lake.open(tmp_path / "lake") as lake:
        assert lake.read("Patient", "p1") == stored
        assert lake.transact([Put(patient())]).t == 2
        assert lake.stats()["resources"] == {"Patient": 1}


def test_a_closed_lake_says_so(tmp_path: Path, patient: Make) -> None:
    lake = Lake.open(tmp_path / "lake")
    lake.close()
    lake.close()
    for call in (lambda: lake.transact([Put(patient())]), lambda: lake.read("Patient", "p1")):
        with pytest.raises(FhirError, match="closed") as failure:
            call()
        assert failure.value.category == "unavailable"


def test_errors_and_representations_show_no_content(lake: Lake, patient: Make) -> None:
    lake.transact([Put(patient(name=[{"family": "Zzyzxname"}]))])
    version = lake.read("Patient", "p1")
    assert "Zzyzxname" not in repr(version)
    failure = refused(lake, Put(patient(name=[{"family": "Zzyzxname"}]), if_match=5))
    assert "Zzyzxname" not in str(failure)
