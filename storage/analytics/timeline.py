"""A patient's record and notes as one list in clinical order, as of a snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.dates import date_range
from schemas.outcomes import FhirError, error
from storage.analytics import timeline_rules as rules
from storage.analytics.nlp_mark import NlpMark, nlp_mark
from storage.analytics.patient_versions import patient_resources, resources_by_id
from storage.analytics.source import SnapshotSource
from storage.analytics.timeline_event import NLP, STRUCTURED, TimelineEvent
from storage.analytics.timeline_merge import Placed, merge
from storage.analytics.timeline_rules import ORDER, RULES, Rule


def build(
    snapshot: SnapshotSource,
    patient_id: str,
    types: Sequence[str] | None = None,
    since: str | None = None,
    until: str | None = None,
) -> list[TimelineEvent]:
    """The events of a patient, oldest first; within a day by kind, then by time; undated last.

    `types` limits the resource types (`Patient` stands for birth and death). `since` and `until`
    are FHIR dates, inclusive to the precision written: an event counts when any part of it lies
    between them, and undated ones do not count. Resources entered in error are left out. What a
    note says is dated by the note when it has no date of its own, and folded into the record's
    event where both say the same.

    Raises FhirError: `not-found` (no such patient at `t`), `invalid` (types, dates).
    """
    wanted = _wanted_types(types)
    window = _window(since, until)
    own = patient_resources(snapshot, "Patient", patient_id)
    patient = next((found for found in own if found["id"] == patient_id), None)
    if patient is None:
        raise error(
            "not-found", f"there is no Patient/{patient_id} at commit {snapshot.t}", "Patient.id"
        )
    resources = {
        resource_type: list(patient_resources(snapshot, resource_type, patient_id))
        for resource_type in RULES
        if resource_type in wanted or resource_type == "DocumentReference"
    }
    notes = {
        f"DocumentReference/{note['id']}": rules.dates(note, RULES["DocumentReference"])[0]
        for note in resources.get("DocumentReference", ())
    }
    medications = _medications(snapshot, resources)
    placed = _life(patient) if "Patient" in wanted else []
    for resource_type, found in resources.items():
        if resource_type in wanted:
            for resource in found:
                event = _event(resource, RULES[resource_type], notes, medications)
                if event is not None:
                    placed.append(event)
    kept = [item for item in merge(placed) if _inside(item, window)]
    return [item.event for item in sorted(kept, key=_clinical_order)]


def _wanted_types(types: Sequence[str] | None) -> frozenset[str]:
    if types is None:
        return frozenset(ORDER)
    for resource_type in types:
        if resource_type not in ORDER:
            raise error(
                "invalid",
                f"{resource_type} has no place on a timeline; its types are {', '.join(ORDER)}",
            )
    return frozenset(types)


def _window(since: str | None, until: str | None) -> tuple[int | None, int | None]:
    low = _range(since, "since")[0] if since else None
    high = _range(until, "until")[1] if until else None
    if low is not None and high is not None and low >= high:
        raise error("invalid", f"since ({since}) is after until ({until})")
    return low, high


def _range(text: str, name: str) -> tuple[int, int]:
    try:
        low, high = date_range(text)
    except (FhirError, ValueError):
        raise error("invalid", f"{name} must be a FHIR date or dateTime, like 2023-01") from None
    return low, high


def _medications(
    snapshot: SnapshotSource, resources: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    """The Medication resources that the patient's resources refer to, by reference."""
    ids = set()
    for found in resources.values():
        for resource in found:
            target = rules.element(resource, "medicationReference.reference")
            if isinstance(target, str) and target.startswith("Medication/"):
                ids.add(target.split("/")[1])
    return {f"Medication/{m['id']}": m for m in resources_by_id(snapshot, "Medication", ids)}


def _life(patient: dict[str, Any]) -> list[Placed]:
    death = patient.get("deceasedDateTime")
    found = []
    if patient.get("birthDate"):
        found.append(_life_event(patient, "birth", patient["birthDate"]))
    if death or patient.get("deceasedBoolean"):
        found.append(_life_event(patient, "death", death))
    return found


def _life_event(patient: dict[str, Any], kind: str, date: str | None) -> Placed:
    low, high = _placed(date)
    event = TimelineEvent(
        date=date, end=None, date_precision=_precision(date), kind=kind, type="Patient",
        display=kind, code=None, system=None, value=None, status=None, source=STRUCTURED,
        score=None, traits=(), reference=f"Patient/{patient['id']}", note=None, encounter=None,
    )  # fmt: skip
    return Placed(event, low, high, None, None, frozenset())


def _event(
    resource: dict[str, Any],
    rule: Rule,
    notes: dict[str, str | None],
    medications: dict[str, Any],
) -> Placed | None:
    status = rules.status(resource, rule)
    if status == "entered-in-error" or resource.get("status") == "entered-in-error":
        return None
    mark = nlp_mark(resource)
    date, end = rules.dates(resource, rule)
    note_date = notes.get(mark.note) if mark and mark.note else None
    if date is None and note_date is not None:
        date = note_date
    about = rules.coding(resource, rule, medications)
    system, code = about.pairs[0] if about.pairs else (None, None)
    event = TimelineEvent(
        date=date,
        end=end,
        date_precision=_precision(date),
        kind=rule.kind,
        type=resource["resourceType"],
        display=about.display,
        code=code,
        system=system,
        value=rules.value_text(resource),
        status=_shown_status(status, mark),
        source=NLP if mark else STRUCTURED,
        score=mark.score if mark else None,
        traits=_traits(resource, status, mark),
        reference=f"{resource['resourceType']}/{resource['id']}",
        note=mark.note if mark else None,
        encounter=_encounter(resource),
    )
    low, high = _placed(date, end)
    note_low, note_high = _placed(note_date)
    return Placed(event, low, high, note_low, note_high, frozenset(about.pairs))


def _traits(resource: dict[str, Any], status: str | None, mark: NlpMark | None) -> tuple[str, ...]:
    found = list(mark.traits) if mark else []
    if status == "refuted" and "NEGATED" not in found:
        found.append("NEGATED")
    if resource["resourceType"] == "FamilyMemberHistory" and "FAMILY" not in found:
        found.append("FAMILY")
    return tuple(found)


def _shown_status(status: str | None, mark: NlpMark | None) -> str | None:
    """Never `active` for what a note negates, supposes, or says of a relative."""
    if mark and status != "refuted":
        for trait, word in (("NEGATED", "negated"), ("FAMILY", "family"),
                            ("HYPOTHETICAL", "hypothetical")):  # fmt: skip
            if trait in mark.traits:
                return word
    return status


def _encounter(resource: dict[str, Any]) -> str | None:
    found = resource.get("encounter") or resource.get("context")
    if isinstance(found, dict) and isinstance(found.get("encounter"), list):
        found = next(iter(found["encounter"]), None)  # DocumentReference.context.encounter
    reference = found.get("reference") if isinstance(found, dict) else None
    return reference if isinstance(reference, str) else None


def _precision(date: str | None) -> str | None:
    return {4: "year", 7: "month", 10: "day"}.get(len(date), "time") if date else None


def _placed(date: str | None, end: str | None = None) -> tuple[int | None, int | None]:
    """The interval of an event in microseconds since the epoch; None for what is no date."""
    try:
        low, high = date_range(date) if date else (None, None)
        if end and high is not None:
            high = max(high, date_range(end)[1])
    except (FhirError, ValueError):
        return None, None
    return low, high


def _inside(item: Placed, window: tuple[int | None, int | None]) -> bool:
    low, high = window
    if low is None and high is None:
        return True
    if item.low_us is None or item.high_us is None:
        return False
    return (high is None or item.low_us < high) and (low is None or item.high_us > low)


def _clinical_order(item: Placed) -> tuple[Any, ...]:
    event = item.event
    if item.low_us is None:
        return (1, "", ORDER[event.type], 0, event.reference)
    day = (event.date or "")[:10].ljust(10, "0")
    rank = len(ORDER) if event.kind == "death" else ORDER[event.type]
    return (0, day, rank, item.low_us, event.reference)
