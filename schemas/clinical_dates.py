"""When the care happened that a resource is about, as opposed to when it was recorded or changed.

By R4's search parameters of type date. Resources of types that have none here (a Patient, a
Coverage, a Device) are of no particular time.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from schemas.index_values import DateValue
from schemas.search_values import extract_params

CARE_DATES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Account": ("period",),
        "AdverseEvent": ("date",),
        "AllergyIntolerance": ("date", "last-date", "onset"),
        "Appointment": ("date",),
        "CarePlan": ("date",),
        "CareTeam": ("date",),
        "ChargeItem": ("occurrence",),
        "Claim": ("created",),
        "ClaimResponse": ("created",),
        "ClinicalImpression": ("date",),
        "Communication": ("sent", "received"),
        "CommunicationRequest": ("occurrence", "authored"),
        "Composition": ("date", "period"),
        "Condition": ("onset-date", "abatement-date", "recorded-date"),
        "Consent": ("date", "period"),
        "CoverageEligibilityRequest": ("created",),
        "CoverageEligibilityResponse": ("created",),
        "DetectedIssue": ("identified",),
        "DeviceRequest": ("event-date", "authored-on"),
        "DiagnosticReport": ("date", "issued"),
        "DocumentManifest": ("created",),
        "DocumentReference": ("date", "period"),
        "Encounter": ("date",),
        "EpisodeOfCare": ("date",),
        "ExplanationOfBenefit": ("created",),
        "FamilyMemberHistory": ("date",),
        "Flag": ("date",),
        "Goal": ("start-date", "target-date"),
        "ImagingStudy": ("started",),
        "Immunization": ("date",),
        "ImmunizationEvaluation": ("date",),
        "ImmunizationRecommendation": ("date",),
        "Invoice": ("date",),
        "List": ("date",),
        "MeasureReport": ("period", "date"),
        "Media": ("created",),
        "MedicationAdministration": ("effective-time",),
        "MedicationDispense": ("whenhandedover", "whenprepared"),
        "MedicationRequest": ("authoredon", "date"),
        "MedicationStatement": ("effective",),
        "NutritionOrder": ("datetime",),
        "Observation": ("date",),
        "Procedure": ("date",),
        "QuestionnaireResponse": ("authored",),
        "RequestGroup": ("authored",),
        "RiskAssessment": ("date",),
        "Schedule": ("date",),
        "ServiceRequest": ("occurrence", "authored"),
        "Specimen": ("collected",),
        "SupplyRequest": ("date",),
        "Task": ("period", "authored-on"),
        "VisionPrescription": ("datewritten",),
    }
)
"""Resource type → the search parameters that say when its care happened."""


def cared_for_in(resource: dict[str, Any], low_us: int, high_us: int) -> bool:
    """Whether a date of its care is in the half-open interval, in microseconds since the epoch.

    A resource without one is not known to be of another time: it counts as inside.
    """
    params = CARE_DATES.get(resource["resourceType"])
    if params is None:
        return True
    dates = [one for one in extract_params(resource, params) if isinstance(one, DateValue)]
    return not dates or any(one.low_us < high_us and one.high_us > low_us for one in dates)
