"""Audit rows as FHIR R4 AuditEvents, in the patterns of IHE Basic Audit Log Patterns (BALP).

https://hl7.org/fhir/R4/auditevent.html, https://profiles.ihe.net/ITI/BALP/. They are made when they
are read; their ids are `audit-` and the row's number.
"""

from __future__ import annotations

import re
from typing import Any

from schemas.ids import format_instant
from schemas.outcomes import FhirError, error
from schemas.parse import canonical_bytes
from storage.audit_record import AuditRecord, AuditRow, Entity
from storage.versions import Version, from_microseconds

TYPE = "AuditEvent"
AUDIT_TYPE = "http://terminology.hl7.org/CodeSystem/audit-event-type"
INTERACTION = "http://hl7.org/fhir/restful-interaction"
OPERATION = "https://chartlake.org/fhir/CodeSystem/audit-operation"
AGENT = "https://chartlake.org/fhir/agent"
_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ENTITY_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_LIFECYCLE = "http://terminology.hl7.org/CodeSystem/dicom-audit-lifecycle"
_SOURCE_TYPE = "http://terminology.hl7.org/CodeSystem/security-source-type"
_ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_BALP_ENTITY = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"

# http://hl7.org/fhir/R4/valueset-type-restful-interaction.html; any other name is an operation.
INTERACTIONS = frozenset({
    "read", "vread", "update", "patch", "delete", "history", "history-instance",
    "history-type", "history-system", "create", "search", "search-type", "search-system",
    "capabilities", "transaction", "batch", "operation",
})  # fmt: skip

_DONE = {
    "C": ("1", "Origination / Creation"),
    "R": ("6", "Access / Use"),
    "U": ("3", "Amendment"),
    "D": ("14", "Logical deletion"),
}
_ROLE_NAMES = {"1": "Patient", "4": "Domain Resource", "24": "Query"}
_OWN = re.compile(r"audit-([1-9][0-9]{0,18})")


def number_of(resource_type: str, id: str) -> int | None:
    """The number of the audit row that an id stands for; None for any other resource."""
    match = _OWN.fullmatch(id) if resource_type == TYPE else None
    return int(match[1]) if match and int(match[1]) < 2**63 else None


def refusal(id: str) -> FhirError:
    """The error for who would change the audit log."""
    return error(
        "method-not-allowed",
        f"{TYPE}/{id[:64]} is of this lake's own audit log: it can be read, but neither written, "
        "changed nor deleted.",
        TYPE,
    )


def version(row: AuditRow, lake_id: str) -> Version:
    """The one version of the AuditEvent of a row."""
    appended = from_microseconds(row.instant_us)
    body = canonical_bytes(audit_event(row, lake_id))
    return Version(TYPE, f"audit-{row.n}", 1, row.t or 0, appended, "POST", False, body)


def audit_event(row: AuditRow, lake_id: str) -> dict[str, Any]:
    """The row as an AuditEvent resource."""
    record = row.record()
    appended = format_instant(from_microseconds(row.instant_us))
    event: dict[str, Any] = {
        "resourceType": TYPE,
        "id": f"audit-{row.n}",
        "meta": {"versionId": "1", "lastUpdated": appended},
        "type": {"system": AUDIT_TYPE, "code": "rest", "display": "RESTful Operation"},
        "subtype": _subtype(record.name),
        "action": record.action,
        "recorded": format_instant(from_microseconds(row.recorded_us)),
        "outcome": str(record.outcome),
    }
    if record.failure:
        event["outcomeDesc"] = record.failure
    if record.purpose:
        event["purposeOfEvent"] = [{"coding": [{"system": _ACT_REASON, "code": record.purpose}]}]
    event["agent"] = _agents(record)
    event["source"] = {
        "observer": {
            "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{lake_id}"},
            "display": "Chartlake",
        },
        "type": [{"system": _SOURCE_TYPE, "code": "4", "display": "Application Server"}],
    }
    entities = [
        *(_resource(entity) for entity in record.entities),
        *(_patient(id) for id in record.patients),
        *_query(record),
        *_transaction(record, row.t),
    ]
    if entities:
        event["entity"] = entities
    return event


def _subtype(name: str) -> list[dict[str, str]]:
    if name in INTERACTIONS:
        return [{"system": INTERACTION, "code": name}]
    return [{"system": INTERACTION, "code": "operation"}, {"system": OPERATION, "code": name}]


def _agents(record: AuditRecord) -> list[dict[str, Any]]:
    """Who asked, and this server. Data flow from the source (110153) to the destination."""
    gives = record.action == "R"
    roles = [("110152", "Destination Role ID"), ("110153", "Source Role ID")]
    asking, serving = roles if gives else reversed(roles)
    client: dict[str, Any] = {
        "type": _coded(_DCM, *asking),
        "who": {"identifier": {"system": AGENT, "value": record.agent}},
        "altId": record.agent,
        "name": record.agent,
        "requestor": True,
    }
    if record.network:
        client["network"] = {"address": record.network, "type": "2"}
    server = {
        "type": _coded(_DCM, *serving),
        "who": {"display": "Chartlake"},
        "requestor": False,
    }
    return [client, server]


def _resource(entity: Entity) -> dict[str, Any]:
    path = f"{entity.resource_type}/{entity.id}"
    if entity.version:
        path += f"/_history/{entity.version}"
    found: dict[str, Any] = {"what": {"reference": path}, **_kind("2", "System Object", "4")}
    if entity.done:
        code, display = _DONE[entity.done]
        found["lifecycle"] = {"system": _LIFECYCLE, "code": code, "display": display}
    return found


def _patient(id: str) -> dict[str, Any]:
    return {"what": {"reference": f"Patient/{id}"}, **_kind("1", "Person", "1")}


def _query(record: AuditRecord) -> list[dict[str, Any]]:
    """Names of what was asked by; the values are not recorded."""
    if not record.parameters:
        return []
    kind = {"sql": "view", "spark": "type"}.get(record.name, "parameter")
    details = [{"type": kind, "valueString": name} for name in record.parameters]
    return [{**_kind("2", "System Object", "24"), "detail": details}]


def _transaction(record: AuditRecord, t: int | None) -> list[dict[str, Any]]:
    """The request by its id, and the numbers: commit, results, how many are concerned in all."""
    numbers = {
        "commit": t,
        "results": record.results,
        "entities": record.entity_count or None,
        "patients": record.patient_count or None,
    }
    found: dict[str, Any] = {"type": {"system": _BALP_ENTITY, "code": "XrequestId"}}
    if record.request_id:
        found["what"] = {"identifier": {"value": record.request_id}}
    details = [
        {"type": name, "valueString": str(number)}
        for name, number in numbers.items()
        if number is not None
    ]
    if details:
        found["detail"] = details
    return [found] if len(found) > 1 else []


def _kind(code: str, display: str, role: str) -> dict[str, Any]:
    return {
        "type": {"system": _ENTITY_TYPE, "code": code, "display": display},
        "role": {"system": _ENTITY_ROLE, "code": role, "display": _ROLE_NAMES[role]},
    }


def _coded(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}]}
