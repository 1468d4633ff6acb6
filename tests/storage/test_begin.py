"""Commits that are begun without waiting for them: as `transact`, but for the waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.outcomes import FhirError
from storage import audit_trail
from storage.audit_trail import AuditTrail
from storage.lake import Lake, OvertakenError, Put


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with Lake.open(tmp_path / "lake") as opened:
        yield opened


def patient(id: str, **more: object) -> Put:
    return Put({"resourceType": "Patient", "id": id, **more})


def test_what_is_acknowledged_is_there(lake: Lake) -> None:
    begun = [lake.begin([patient(f"p{number}")]) for number in range(50)]
    for number, future in enumerate(begun):
        assert future is not None
        version = future.result(timeout=20).versions[0]
        assert version.id == f"p{number}" and version.version_id == 1
        assert lake.read("Patient", version.id).body == version.body
    assert lake.search("Patient", []).total == 50


def test_refusals_come_as_those_of_a_transaction(lake: Lake) -> None:
    lake.transact([patient("p")])
    with pytest.raises(FhirError, match="id"):
        lake.begin([patient("not an id")])
    refused = lake.begin([Put({"resourceType": "Patient", "id": "p"}, must_not_exist=True)])
    assert refused is not None
    with pytest.raises(FhirError) as caught:
        refused.result(timeout=20)
    assert caught.value.category == "conflict"
    with pytest.raises(FhirError) as caught:
        lake.begin([Put({"resourceType": "AuditEvent", "id": "audit-1"})])
    assert caught.value.category == "method-not-allowed"


def test_what_it_was_decided_by_must_still_hold(lake: Lake) -> None:
    lake.transact([patient("p")])
    found = lake.find("Patient", [("_id", "p")])
    lake.transact([patient("p", active=True)])
    begun = lake.begin([patient("q")], guards=[found.guard])
    assert begun is not None
    with pytest.raises(OvertakenError):
        begun.result(timeout=20)


def test_it_does_not_begin_beside_who_is_alone(lake: Lake) -> None:
    with lake.alone():
        assert lake.begin([patient("p")]) is None
    begun = lake.begin([patient("p")])
    assert begun is not None
    entered = threading.Event()

    def wait_to_be_alone() -> None:
        with lake.alone():
            entered.set()

    thread = threading.Thread(target=wait_to_be_alone)
    thread.start()
    begun.result(timeout=20)
    assert entered.wait(20)
    thread.join()


def test_a_refused_one_lets_others_be_alone(lake: Lake) -> None:
    with pytest.raises(FhirError):
        lake.begin([patient("not an id")])
    with lake.alone():
        lake.transact([patient("p")])


def test_definitions_of_search_parameters_are_not_begun(lake: Lake) -> None:
    parameter = {"resourceType": "SearchParameter", "id": "s"}
    assert lake.begin([Put(parameter)]) is None


def test_the_change_is_recorded_with_its_trail(lake: Lake) -> None:
    trail = AuditTrail("lab", "create", "C")
    with trail.active():
        assert audit_trail.current() is trail
        begun = lake.begin([patient("p")])
    assert begun is not None
    begun.result(timeout=20)
    assert trail.changes == 1
    assert trail.finish(0) == []
    found = lake.search("AuditEvent", [("entity", "Patient/p"), ("action", "C")])
    assert found.total == 1


def test_who_gives_up_waiting_undoes_nothing(lake: Lake) -> None:
    begun = lake.begin([patient("p")])
    assert begun is not None
    assert begun.cancel() is False
    begun.result(timeout=20)
    assert lake.read("Patient", "p").version_id == 1
