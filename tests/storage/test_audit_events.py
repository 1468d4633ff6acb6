"""Audit rows as AuditEvents: valid R4, and found as if each were a stored resource."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from schemas.outcomes import FhirError
from schemas.validate import validate
from storage.audit_record import AuditRecord, Entity
from storage.audit_trail import AuditTrail
from storage.lake import Lake, Put

UUID = "0b0c6a1e-6c5a-4f2e-9a57-0d4a1b1f3c11"
RECORDS = (
    AuditRecord(
        "R", "read", "ward-app", network="10.1.2.3", purpose="TREAT", request_id="r-1",
        entities=(Entity("Patient", "p1", 2, "R"),), patients=("p1",),
    ),
    AuditRecord(
        "E", "search-type", "Ärzte", network="fe80::1", parameters=("name", "birthdate"), results=2,
        patients=("p1", UUID),
    ),
    AuditRecord("U", "update", "ward-app", 4, "precondition", entities=(Entity("Patient", UUID),)),
    AuditRecord("E", "sql", "analyst", 8, "timeout", parameters=("patient",), results=7),
    AuditRecord("D", "delete", "cli:root", entities=(Entity("Observation", "p1", 3, "D"),)),
    AuditRecord("C", "create", "system:nlp", entities=(Entity("Condition", "c1", 1, "C"),)),
)  # fmt: skip


def stored(id: str, recorded: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "AuditEvent",
        "id": id,
        "type": {"system": "http://example.org", "code": "other"},
        "recorded": recorded,
        "agent": [{"requestor": True, "name": "device"}],
        "source": {"observer": {"display": "elsewhere"}},
        **more,
    }


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lake, Lake]]:
    """A lake with an audit log, and one where the same events are ordinary resources."""
    folder = tmp_path_factory.mktemp("events")
    with Lake.open(folder / "own") as own, Lake.open(folder / "copy") as copy:
        own.record_access(RECORDS).result()
        events = [version.resource() for version in own.search("AuditEvent", []).versions]
        copy.transact([Put({**event, "id": f"copy-{event['id']}"}) for event in events])
        yield own, copy


def test_they_are_valid_r4(both: tuple[Lake, Lake]) -> None:
    page = both[0].search("AuditEvent", [])
    assert page.total == len(RECORDS) + 1
    for version in page.versions:
        assert validate(version.resource(), "AuditEvent") == []
    assert [version.id for version in page.versions] == [f"audit-{n}" for n in range(7, 0, -1)]


def test_what_an_event_says(both: tuple[Lake, Lake]) -> None:
    event = both[0].read("AuditEvent", "audit-2").resource()
    assert event["type"]["code"] == "rest"
    assert event["subtype"][0]["code"] == "read"
    assert (event["action"], event["outcome"]) == ("R", "0")
    assert event["purposeOfEvent"][0]["coding"][0]["code"] == "TREAT"
    client, server = event["agent"]
    assert (client["altId"], client["requestor"], server["requestor"]) == ("ward-app", True, False)
    assert client["network"] == {"address": "10.1.2.3", "type": "2"}
    resource, patient, transaction = event["entity"]
    assert resource["what"]["reference"] == "Patient/p1/_history/2"
    assert (patient["what"]["reference"], patient["role"]["code"]) == ("Patient/p1", "1")
    assert transaction["what"]["identifier"]["value"] == "r-1"


QUERIES = (
    ("action", "R"), ("action", "R,D"), ("action:not", "E"), ("action:missing", "false"),
    ("action", "http://hl7.org/fhir/audit-event-action|R"), ("action", "x"),
    ("address", "10.1"), ("address:exact", "10.1.2.3"), ("address:contains", "1.2"),
    ("address:missing", "true"),
    ("agent-name", "WARD"), ("agent-name:exact", "ward-app"), ("agent-name:contains", "app"),
    ("agent-name", "arzte"), ("agent-name:exact", "arzte"), ("agent-name", "ward,analyst"),
    ("altid", "ward-app"), ("altid", "Ward-App"), ("altid", "|ward-app"), ("altid", "x|ward-app"),
    ("altid:not", "ward-app"),
    ("agent-role", "x"), ("agent-role:missing", "true"),
    ("date", "ge2020"), ("date", "lt2020"), ("date", "2020"), ("date", "ne2020"),
    ("date", "ap2026"), ("date", "sa2020-01-01"), ("date", "eb2020,ge2021"),
    ("date:missing", "false"), ("_lastUpdated", "ge2020"),
    ("entity", "Patient/p1"), ("entity", "p1"), ("entity:Observation", "p1"),
    ("entity:Patient", "p1"), ("entity", f"Patient/{UUID}"), ("entity", "Condition/c1,Patient/p1"),
    ("entity", "http://example.org/Patient/p1"), ("entity", "urn:uuid:" + UUID),
    ("entity:missing", "true"), ("entity:missing", "false"), ("entity:identifier", "r-1"),
    ("entity:identifier", "|r-1"), ("entity:identifier", "x|r-1"),
    ("entity-name", "x"), ("entity-role", "1"), ("entity-role", "24"), ("entity-role:not", "1"),
    ("entity-role:text", "patient"), ("entity-type", "2"),
    ("entity-type", "http://terminology.hl7.org/CodeSystem/audit-entity-type|"),
    ("outcome", "4"), ("outcome", "0,8"), ("outcome:not", "0"), ("outcome", "04"), ("outcome", "x"),
    ("patient", "p1"), ("patient", "Patient/p1"), ("patient:Patient", "p1"), ("patient", UUID),
    ("patient:missing", "true"), ("patient", "nobody"),
    ("policy", "http://example.org"), ("policy:missing", "true"), ("policy:below", "http://e"),
    ("site", "x"), ("site:missing", "true"),
    ("source", "Device/x"), ("source:identifier", "x"), ("source:missing", "false"),
    ("subtype", "read"), ("subtype", "operation"), ("subtype", "sql"), ("subtype", "read,sql"),
    ("subtype:not", "read"), ("subtype", "http://hl7.org/fhir/restful-interaction|read"),
    ("type", "rest"), ("type", "other"), ("type:not", "rest"), ("type:text", "restful"),
    ("type", "http://terminology.hl7.org/CodeSystem/audit-event-type|"),
    ("_tag", "x"), ("_source", "http://x"), ("_profile", "http://x"), ("agent", "Device/x"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "value"), QUERIES)
def test_found_as_a_stored_resource_would_be(
    both: tuple[Lake, Lake], name: str, value: str
) -> None:
    own, copy = both
    found = own.search("AuditEvent", [(name, value)], strict=True)
    # The copying lake has events of its own, which are none of ours.
    other = copy.search("AuditEvent", [(name, value), ("_count", "1000")], strict=True)
    copies = [v.id for v in other.versions if v.id.startswith("copy-")]
    if name == "_lastUpdated":
        assert len(copies) == len(found.versions)
    else:
        assert sorted(f"copy-{v.id}" for v in found.versions) == sorted(copies)
    assert found.total == len(found.versions)


def test_criteria_are_combined(both: tuple[Lake, Lake]) -> None:
    asked = [("patient", "p1"), ("action", "E"), ("date", "ge2020"), ("agent-name", "ärz")]
    found = both[0].search("AuditEvent", asked)
    assert [version.id for version in found.versions] == ["audit-3"]
    ids = both[0].search("AuditEvent", [("_id", "audit-2,audit-4,audit-400,other")])
    assert [version.id for version in ids.versions] == ["audit-4", "audit-2"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("date", "yesterday"),
        ("_id", "no id!"),
        ("outcome:missing", "perhaps"),
        ("patient:Group", "g1"),
        ("entity", "no reference!"),
        ("agent-name", "\u0301"),
        ("_sort", "_id"),
        ("_cursor", "mine.not.yours"),
        ("type:above", "x"),
    ],
)
def test_what_cannot_be_asked_is_refused(both: tuple[Lake, Lake], name: str, value: str) -> None:
    with pytest.raises(FhirError) as refused:
        both[0].search("AuditEvent", [(name, value)])
    assert value not in str(refused.value) or name == "_sort"  # Values are not repeated.


@pytest.mark.parametrize("count", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("sort", ["-date", "date"])
def test_pages_go_over_own_and_stored_events_in_order(lake: Lake, count: int, sort: str) -> None:
    for year in ("2001", "2099"):
        lake.transact([Put(stored(f"e{year}-{n}", f"{year}-0{n}-01T00:00:00Z")) for n in (1, 2, 3)])
        lake.record_access(RECORDS).result()
    expected = lake.search("AuditEvent", [("_count", "1000")]).total
    seen: list[Any] = []
    params = [("_count", str(count)), ("_sort", sort)]
    cursor: str | None = None
    while True:
        page = lake.search("AuditEvent", [*params, *([("_cursor", cursor)] if cursor else [])])
        assert page.total == expected
        assert len(page.versions) == count or page.next is None
        seen += [(v.resource()["recorded"], v.id) for v in page.versions]
        lake.record_access(RECORDS).result()  # What comes meanwhile is not part of it.
        cursor = page.next
        if cursor is None:
            break
    assert len(seen) == len({id for _, id in seen}) == expected
    moments = [moment[:19] for moment, _ in seen]
    assert moments == sorted(moments, reverse=sort == "-date")


def test_count_and_total(both: tuple[Lake, Lake]) -> None:
    own = both[0]
    nothing = own.search("AuditEvent", [("_count", "0")])
    assert (nothing.versions, nothing.next, nothing.total) == ([], None, len(RECORDS) + 1)
    page = own.search("AuditEvent", [("_count", "2"), ("_total", "none")])
    assert (len(page.versions), page.total) == (2, None)
    again = own.search("AuditEvent", [("_total", "none"), ("_cursor", str(page.next))])
    assert (len(again.versions), again.next) == (len(RECORDS) - 1, None)


def test_reading_and_history(both: tuple[Lake, Lake]) -> None:
    own = both[0]
    event = own.read("AuditEvent", "audit-2")
    assert own.vread("AuditEvent", "audit-2", 1).body == event.body
    assert own.history("AuditEvent", "audit-2").total == 1
    for wrong in ("audit-99", "audit-0", "audit-02", "audit-x"):
        with pytest.raises(FhirError, match="not known"):
            own.read("AuditEvent", wrong)
    with pytest.raises(FhirError, match="not known"):
        own.vread("AuditEvent", "audit-2", 2)


def test_as_of_a_past_commit(lake: Lake) -> None:
    lake.transact([Put({"resourceType": "Patient", "id": "p1"})])
    lake.transact([Put({"resourceType": "Patient", "id": "p2"})])
    first = lake.read("AuditEvent", "audit-2").last_updated
    found = lake.search("AuditEvent", [], at=1).versions
    assert found
    assert all(version.last_updated <= first for version in found)


def test_a_trail_knows_what_was_given_out(lake: Lake) -> None:
    observation = {
        "resourceType": "Observation", "id": "o1", "status": "final", "code": {"text": "x"},
        "subject": {"reference": "Patient/p1"},
    }  # fmt: skip
    lake.transact([Put({"resourceType": "Patient", "id": "p1"}), Put(observation)])
    trail = AuditTrail("ward", "read", "R")
    with trail.active():
        lake.read("Observation", "o1")
    (record,) = trail.finish(0)
    assert record.entities == (Entity("Observation", "o1", 1, "R"),)
    assert record.patients == ("p1",)
    searching = AuditTrail("ward", "search-type", "E", lists_entities=False)
    with searching.active():
        lake.search("Observation", [("code:text", "secret"), ("Miller", "x"), ("status", "final")])
    (record,) = searching.finish(0)
    assert (record.entities, record.results, record.patients) == ((), 1, ("p1",)) or (
        record.results == 0
    )
    assert record.parameters == ("code", "(unknown)", "status")


def test_what_was_read_for_a_change_is_not_given_out(lake: Lake) -> None:
    lake.transact([Put({"resourceType": "Patient", "id": "p1"})])
    trail = AuditTrail("ward", "create", "C")
    with trail.active():
        lake.read("Patient", "p1")
        lake.transact([Put({"resourceType": "Basic", "id": "b", "code": {"text": "x"}})])
    assert trail.finish(0) == []
    refused = AuditTrail("ward", "read", "R", target=Entity("Patient", "p1"), failure="forbidden")
    (record,) = refused.finish(4)
    assert (record.failure, record.patients, record.entities) == (
        "forbidden", ("p1",), (Entity("Patient", "p1"),),
    )  # fmt: skip
