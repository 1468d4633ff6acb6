"""A patient's chart as it grows: every resource is made here, dated and linked.

Sub-objects that never differ (codes, units, references) are shared between resources.
"""

from __future__ import annotations

from decimal import Decimal

from service.synth import facility
from service.synth.clock import age_on, instant, iso_date
from service.synth.concepts import Json, coding, concept
from service.synth.conditions import DIAGNOSES
from service.synth.identifiers import IdSource, medical_record_number, stream
from service.synth.measurements import MEASUREMENTS, PANELS
from service.synth.medications import DRUGS, EXCLUSIVE, Drug, unsuitable
from service.synth.observation import (
    blood_pressure,
    laboratory_report,
    numeric_observation,
    smoking_status,
)
from service.synth.patient import patient_resource
from service.synth.person import Person
from service.synth.prescription import end_order, medication_request
from service.synth.prevalence import chronic_onsets
from service.synth.procedures import PROCEDURES, VACCINES
from service.synth.visit import DISCHARGED_HOME, VISIT_KINDS, Order, Visit

_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
ACTIVE, RESOLVED = (
    {"coding": [coding(_CLINICAL, code, code.capitalize())]} for code in ("active", "resolved")
)
_CONFIRMED = {
    "coding": [
        coding(
            "http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed", "Confirmed"
        )
    ]
}
_CONDITION_CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"
_PROBLEM_LIST = [
    concept(None, coding(_CONDITION_CATEGORY, "problem-list-item", "Problem List Item"))
]
_ENCOUNTER_DIAGNOSIS = [
    concept(None, coding(_CONDITION_CATEGORY, "encounter-diagnosis", "Encounter Diagnosis"))
]
_PARTICIPANT = [
    concept(
        "primary performer",
        coding(
            "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
            "PPRF",
            "primary performer",
        ),
    )
]


class Chart:
    """The growing chart. `first_day` is when care here began; nothing is dated after
    `last_day`, the day of death or the end of the simulation."""

    __slots__ = (
        "_next_id",
        "allergic_to",
        "allergies",
        "body",
        "conditions",
        "courses",
        "days",
        "facilities",
        "family",
        "first_day",
        "id",
        "immunized",
        "index",
        "last_day",
        "not_tolerated",
        "onsets",
        "orders",
        "past_orders",
        "person",
        "practitioner",
        "pregnant",
        "problems",
        "random",
        "resources",
        "seed",
        "subject",
        "visits",
        "visits_noted",
    )

    def __init__(self, index: int, seed: int, end_day: int) -> None:
        self.index, self.seed = index, seed
        random = self.random = stream(seed, "patient", index)
        self._next_id = IdSource(seed, "patient", index).next
        self.id = self._next_id()
        self.facilities = facility.facilities(seed)
        person = self.person = Person(random, self.facilities.cities, end_day)
        city = person.city.name
        self.last_day = person.last_day
        self.onsets = chronic_onsets(person, random)
        self.subject = {"reference": f"Patient/{self.id}"}
        choices = self.facilities.practitioners[city, "primary"]
        self.practitioner = choices[int(random.random() * len(choices))]
        self.resources: list[Json] = [
            patient_resource(
                person,
                random,
                self.id,
                medical_record_number(seed, index),
                self.practitioner,
                self.facilities.clinics[city].organization,
            )
        ]
        self.first_day = 0
        self.problems: dict[str, Json] = {}  # diagnosis → active Condition
        self.conditions: dict[str, int] = {}  # diagnosis → day of last onset, resolved ones too
        self.orders: dict[str, Order] = {}  # drug → active prescription
        self.courses: list[Order] = []  # those that outlast the record
        self.not_tolerated: set[str] = set()  # drugs stopped for a side effect
        self.past_orders: list[tuple[Order, str]] = []
        self.allergies: list[tuple[str, str]] = []  # (substance, reaction) as a note says them
        self.allergic_to: set[str] = set()  # classes of drugs
        self.family: list[tuple[str, str, int]] = []  # (relation, diagnosis key, age at onset)
        self.immunized: dict[str, int] = {}
        self.pregnant = False
        self.visits: list[Visit] = []
        self.body: dict[str, float] = {}  # see `physiology`
        self.days: dict[str, int] = {}  # when something was last done, or is due
        self.visits_noted = 0

    # Encounters

    def free_on(self, day: int) -> bool:
        """Whether the patient is neither in hospital nor seen elsewhere on this day."""
        return not self.visits or day > self.visits[-1].end_day

    def open_visit(
        self, kind_key: str, day: int, *, nights: int = 0, reason: str | None = None
    ) -> Visit:
        """Begin an encounter on a day; it ends the same day or after `nights`."""
        random, city = self.random.random, self.person.city
        kind = VISIT_KINDS[kind_key]
        if kind.hospital:
            minute, site = int(random() * 1080), self.facilities.hospitals[city.name]
        else:
            minute, site = 480 + 15 * int(random() * 32), self.facilities.clinics[city.name]
        if kind.specialty == "primary":
            practitioner = self.practitioner
        else:
            practitioner = self.facilities.practitioners[city.name, kind.specialty][0]
        if nights:
            end_day, end_minute = day + nights, 600 + int(random() * 360)
        else:
            end_day, end_minute = day, minute + kind.minutes + int(random() * 15)
        start = instant(day, minute, city.zone)
        end = instant(end_day, end_minute, city.zone)
        id = self._next_id()
        encounter: Json = {
            "resourceType": "Encounter",
            "id": id,
            "status": "finished",
            "class": kind.encounter_class,
            "type": kind.type,
            "subject": self.subject,
            "participant": [{"type": _PARTICIPANT, "individual": practitioner}],
            "period": {"start": start, "end": end},
        }
        if reason is not None:
            encounter["reasonCode"] = [DIAGNOSES[reason].concept]
        if nights:
            encounter["hospitalization"] = {"dischargeDisposition": DISCHARGED_HOME}
        encounter["location"] = [{"location": site.location}]
        encounter["serviceProvider"] = site.organization
        self.resources.append(encounter)
        visit = Visit(
            kind,
            day,
            end_day,
            start,
            end,
            encounter,
            {"reference": f"Encounter/{id}"},
            practitioner,
            reason,
        )
        self.visits.append(visit)
        return visit

    # Conditions

    def diagnose(
        self,
        visit: Visit,
        key: str,
        onset_day: int | None = None,
        *,
        chronic: bool = True,
        resolved_day: int | None = None,
    ) -> None:
        """Record a diagnosis; one with `resolved_day` within the record is already resolved."""
        onset = visit.day if onset_day is None else onset_day
        resolved = resolved_day is not None and resolved_day <= self.last_day
        made: Json = {
            "resourceType": "Condition",
            "id": self._next_id(),
            "clinicalStatus": RESOLVED if resolved else ACTIVE,
            "verificationStatus": _CONFIRMED,
            "category": _PROBLEM_LIST if chronic else _ENCOUNTER_DIAGNOSIS,
            "code": DIAGNOSES[key].concept,
            "subject": self.subject,
            "encounter": visit.context,
            "onsetDateTime": iso_date(onset),
        }
        if resolved and resolved_day is not None:
            made["abatementDateTime"] = iso_date(resolved_day)
        made["recordedDate"] = visit.start
        made["recorder"] = visit.practitioner
        self.resources.append(made)
        self.conditions[key] = onset
        visit.diagnosed.append(key)
        if not resolved:
            self.problems[key] = made
        visit.encounter.setdefault("diagnosis", []).append(
            {"condition": {"reference": f"Condition/{made['id']}"}}
        )

    def resolve(self, key: str, day: int) -> None:
        """End an active problem on a day."""
        made = self.problems.pop(key)
        made["clinicalStatus"] = RESOLVED
        recorder, recorded = made.pop("recorder"), made.pop("recordedDate")
        made["abatementDateTime"] = iso_date(day)
        made["recordedDate"], made["recorder"] = recorded, recorder

    # Observations

    def observe(self, visit: Visit, key: str, value: Decimal) -> str:
        """Record one measurement of a visit; answers the Observation's id."""
        id = self._next_id()
        measured = MEASUREMENTS[key]
        self.resources.append(numeric_observation(id, measured, value, self.subject, visit))
        visit.results[key] = value
        return id

    def observe_blood_pressure(self, visit: Visit, systolic: Decimal, diastolic: Decimal) -> None:
        """Record a blood pressure."""
        self.resources.append(
            blood_pressure(self._next_id(), systolic, diastolic, self.subject, visit)
        )
        visit.results["systolic"] = systolic
        visit.results["diastolic"] = diastolic

    def observe_smoking(self, visit: Visit) -> None:
        """Record the smoking status."""
        self.resources.append(
            smoking_status(self._next_id(), self.person.smoking, self.subject, visit)
        )

    def report(self, visit: Visit, panel_key: str, values: tuple[Decimal, ...]) -> None:
        """Record a laboratory panel: its Observations and the DiagnosticReport that holds them."""
        panel = PANELS[panel_key]
        ids = [
            self.observe(visit, member, value)
            for member, value in zip(panel.members, values, strict=True)
        ]
        self.resources.append(laboratory_report(self._next_id(), panel, ids, self.subject, visit))

    # Medications

    def may_take(self, drug: Drug, day: int) -> bool:
        """Whether a careful prescriber would order the drug for this patient on this day."""
        states = set(self.allergic_to)
        if self.pregnant:
            states.add("pregnancy")
        if "ckd4" in self.problems:
            states |= {"ckd", "ckd4"}
        elif "ckd3" in self.problems:
            states.add("ckd")
        if "apixaban" in self.orders or "warfarin" in self.orders:
            states.add("anticoagulant")
        if "asthma" in self.problems or "copd" in self.problems:
            states.add("asthma")
        if "cad" in self.problems:
            states.add("vascular")
        if age_on(self.person.birth_day, day) < 16:
            states.add("child")
        return not unsuitable(drug, states)

    def prescribe(
        self,
        visit: Visit,
        drug_key: str,
        reason: str,
        *,
        step: int = 0,
        days: int | None = None,
        quiet: bool = False,
    ) -> Order | None:
        """Order a drug; None when the patient already takes it or should not have it.

        A course of `days` that ends within the record is `completed`. `quiet` orders continue
        what was taken before this record and are not news for the note.
        """
        drug = DRUGS[drug_key]
        if drug_key in self.orders or drug_key in self.not_tolerated:
            return None
        single = drug.classes & EXCLUSIVE
        if single and any(single & DRUGS[taken].classes for taken in self.orders):
            return None
        if not self.may_take(drug, visit.day):
            return None
        dose = drug.doses[max(0, min(step, len(drug.doses) - 1))]
        last_day = None if days is None else visit.end_day + days
        over = last_day is not None and last_day <= self.last_day
        made = medication_request(
            self._next_id(),
            dose,
            reason,
            self.subject,
            visit,
            last_day,
            "completed" if over else "active",
        )
        self.resources.append(made)
        order = Order(dose, visit.end_day, reason, made)
        order.last_day = last_day
        if last_day is None:
            self.orders[drug_key] = order
        elif not over:
            self.courses.append(order)
        if not quiet:
            visit.started.append(order)
        return order

    def stop(
        self,
        visit: Visit,
        drug_key: str,
        words: str,
        reason: str | None = None,
        *,
        quiet: bool = False,
    ) -> Order:
        """Stop a drug at a visit; `words` say why, `reason` names the HL7 code if there is one."""
        order = self.orders.pop(drug_key)
        end_order(order, visit.end_day, words, reason)
        if reason == "intolerance":
            self.not_tolerated.add(drug_key)
        if not quiet:
            visit.stopped.append((order, words))
            self.past_orders.append((order, words))
        return order

    def change_dose(self, visit: Visit, drug_key: str, step: int, words: str) -> bool:
        """Replace the prescription of a drug by one of another strength, if there is one."""
        drug = DRUGS[drug_key]
        before = self.orders.get(drug_key)
        if before is None or not 0 <= step < len(drug.doses) or drug.doses[step] is before.dose:
            return False
        if not self.may_take(drug, visit.day):
            return False
        self.stop(visit, drug_key, words, quiet=True)
        after = self.prescribe(visit, drug_key, before.reason, step=step, quiet=True)
        if after is not None:
            visit.changed.append((before, after))
        return True

    def step_of(self, drug_key: str) -> int:
        """Which rung of its dose ladder an active drug is on; -1 when it is not taken."""
        order = self.orders.get(drug_key)
        return -1 if order is None else DRUGS[drug_key].doses.index(order.dose)

    def end_all_orders(self, words: str) -> None:
        """Close every active prescription on the last day, as when the patient has died."""
        for order in (*self.orders.values(), *self.courses):
            end_order(order, self.last_day, words, None)
        self.orders.clear()
        self.courses.clear()

    # Procedures, vaccines

    def perform(self, visit: Visit, key: str, reason: str | None = None) -> None:
        """Record a procedure done during the visit."""
        code, _ = PROCEDURES[key]
        made: Json = {
            "resourceType": "Procedure",
            "id": self._next_id(),
            "status": "completed",
            "code": code,
            "subject": self.subject,
            "encounter": visit.context,
            "performedPeriod": {"start": visit.start, "end": visit.end},
            "performer": [{"actor": visit.practitioner}],
        }
        if reason is not None:
            made["reasonCode"] = [DIAGNOSES[reason].concept]
        self.resources.append(made)
        visit.procedures.append(key)

    def immunize(self, visit: Visit, key: str) -> None:
        """Record a vaccination."""
        self.resources.append(
            {
                "resourceType": "Immunization",
                "id": self._next_id(),
                "status": "completed",
                "vaccineCode": VACCINES[key],
                "patient": self.subject,
                "encounter": visit.context,
                "occurrenceDateTime": visit.start,
                "primarySource": True,
                "location": visit.encounter["location"][0]["location"],
            }
        )
        self.immunized[key] = visit.day

    def add(self, resource_type: str, **elements: object) -> str:
        """Record any other resource; answers its id."""
        id = self._next_id()
        self.resources.append({"resourceType": resource_type, "id": id, **elements})
        return id
