"""One encounter while it happens: what was measured, found, started and stopped in it.

A note is written from this, so that what it says and what the record holds are the same.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from service.synth.concepts import Json, coding, concept, snomed
from service.synth.medications import Dose

_CLASS = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


class VisitKind(NamedTuple):
    """A sort of encounter. `minutes` is the usual length of one that ends the same day."""

    encounter_class: Json
    type: list[Json]
    specialty: str
    hospital: bool
    minutes: int
    note: str  # which note is written about it


def _kind(
    code: str,
    class_display: str,
    type_code: str,
    type_display: str,
    specialty: str,
    hospital: bool,
    minutes: int,
    note: str,
) -> VisitKind:
    return VisitKind(
        coding(_CLASS, code, class_display),
        [snomed(type_code, type_display)],
        specialty,
        hospital,
        minutes,
        note,
    )


_AMB, _EMER, _IMP = ("AMB", "ambulatory"), ("EMER", "emergency"), ("IMP", "inpatient encounter")

VISIT_KINDS: dict[str, VisitKind] = {
    "checkup": _kind(
        *_AMB, "185349003", "Encounter for check up", "primary", False, 30, "progress"
    ),
    "well_child": _kind(*_AMB, "410620009", "Well child visit", "primary", False, 25, "progress"),
    "follow_up": _kind(*_AMB, "390906007", "Follow-up encounter", "primary", False, 25, "progress"),
    "problem": _kind(*_AMB, "185345009", "Encounter for symptom", "primary", False, 20, "progress"),
    "prenatal": _kind(*_AMB, "424619006", "Prenatal visit", "obstetrics", False, 20, "progress"),
    "emergency": _kind(
        *_EMER, "50849002", "Emergency room admission", "emergency", True, 190, "emergency"
    ),
    "inpatient": _kind(*_IMP, "32485007", "Hospital admission", "hospital", True, 0, "discharge"),
    "surgery": _kind(*_IMP, "32485007", "Hospital admission", "surgery", True, 0, "discharge"),
    "delivery": _kind(*_IMP, "32485007", "Hospital admission", "obstetrics", True, 0, "discharge"),
}

DISCHARGED_HOME = concept(
    "Discharged to home",
    coding("http://terminology.hl7.org/CodeSystem/discharge-disposition", "home", "Home"),
)


class Order:
    """A prescription: the MedicationRequest, which changes when it is stopped."""

    __slots__ = ("day", "dose", "last_day", "reason", "resource")

    def __init__(self, dose: Dose, day: int, reason: str, resource: Json) -> None:
        self.dose, self.day, self.reason, self.resource = dose, day, reason, resource
        self.last_day: int | None = None


class Visit:
    """An encounter in progress. Keys of diagnoses, measurements and procedures, not codes."""

    __slots__ = (
        "changed",
        "chief",
        "considered",
        "context",
        "day",
        "diagnosed",
        "encounter",
        "end",
        "end_day",
        "excluded",
        "flare",
        "kind",
        "ordered",
        "plan",
        "practitioner",
        "procedures",
        "reason",
        "reassured",
        "results",
        "start",
        "started",
        "stopped",
        "subjective",
    )

    def __init__(
        self,
        kind: VisitKind,
        day: int,
        end_day: int,
        start: str,
        end: str,
        encounter: Json,
        reference: Json,
        practitioner: Json,
        reason: str | None,
    ) -> None:
        self.kind, self.day, self.end_day, self.start, self.end = kind, day, end_day, start, end
        self.encounter, self.context, self.practitioner = encounter, reference, practitioner
        self.reason = reason  # key of the diagnosis the visit is about, if it is about one
        self.chief = ""  # presenting complaint, for the note
        self.subjective: list[str] = []  # symptoms present
        self.reassured: list[str] = []  # symptoms asked for and absent
        self.results: dict[str, Decimal] = {}
        self.ordered: set[str] = set()
        self.diagnosed: list[str] = []
        self.considered: list[str] = []  # possible diagnoses, not confirmed
        self.excluded: list[str] = []  # diagnoses looked for and not found
        self.procedures: list[str] = []
        self.started: list[Order] = []
        self.changed: list[tuple[Order, Order]] = []  # (before, after)
        self.stopped: list[tuple[Order, str]] = []  # (order, reason in words)
        self.plan: list[str] = []
        self.flare = False  # a chronic disease has become worse
