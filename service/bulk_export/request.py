"""What an export is asked to contain, checked when it is asked.

https://hl7.org/fhir/uv/bulkdata/export.html#query-parameters. Lists may be separated by commas, or
the parameter repeated (as version 4 of the guide has it). Nothing that was asked for is passed
over: what is not known is refused, or, with `Prefer: handling=lenient`, told in an outcome of the
export.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from schemas.compartments import PATIENT_PARAMS
from schemas.ids import is_id, parse_reference
from schemas.outcomes import FhirError, Issue, error
from schemas.structure import RESOURCE_TYPES
from schemas.summary import parse_elements
from service.operations.arguments import Arguments
from storage.lake import LakeAt

SYSTEM, PATIENT, GROUP = "system", "patient", "group"

NDJSON, PARQUET = "application/fhir+ndjson", "application/vnd.apache.parquet"
_FORMATS = {
    NDJSON: NDJSON,
    "application/ndjson": NDJSON,
    "ndjson": NDJSON,
    PARQUET: PARQUET,
    "parquet": PARQUET,
}

SUPPORTING = frozenset({
    "Organization", "Practitioner", "PractitionerRole", "Location", "HealthcareService", "Endpoint",
    "Medication", "Substance", "Device", "InsurancePlan",
})  # fmt: skip
"""Types outside of the Patient compartment that come with it where it refers to them."""

PROVENANCE = "Provenance"
LATEST, RELEVANT = "LatestProvenanceResources", "RelevantProvenanceResources"
_OF_RESULTS = ("_include", "_revinclude", "_sort", "_count", "_total", "_summary", "_elements",
               "_cursor", "_contained", "_containedType")  # fmt: skip

NAMES = ("_outputFormat", "_since", "_until", "_type", "_typeFilter", "_elements", "patient",
         "includeAssociatedData", "organizeOutputBy", "allowPartialManifests")  # fmt: skip

Criteria = list[list[str]]

_NEXT_QUERY = re.compile(r",(?=[A-Z][A-Za-z]{2,40}\?)")


@dataclass(frozen=True)
class ExportRequest:
    """A checked request; `stored` and `restored` bring it through the job's row.

    `types`: those asked for, None for all. `filters`: type → alternatives of search criteria.
    `patients`: the ids that were asked for, None for all of the level. `provenance`: `LATEST`,
    `RELEVANT` or empty. `told`: what was not applied, in words, for the outcomes of the export.
    """

    level: str
    group: str | None = None
    types: tuple[str, ...] | None = None
    filters: dict[str, list[Criteria]] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None
    elements: tuple[str, ...] = ()
    patients: tuple[str, ...] | None = None
    provenance: str = ""
    by_patient: bool = False
    format: str = NDJSON
    told: tuple[str, ...] = ()

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "level": self.level,
            "group": self.group,
            "types": None if self.types is None else list(self.types),
            "filters": self.filters,
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
            "elements": list(self.elements),
            "patients": None if self.patients is None else list(self.patients),
            "provenance": self.provenance,
            "by_patient": self.by_patient,
            "format": self.format,
            "told": list(self.told),
        }

    @classmethod
    def restored(cls, stored: dict[str, Any]) -> ExportRequest:
        """From `stored`."""
        lists = {
            name: None if stored[name] is None else tuple(stored[name])
            for name in ("types", "patients", "elements", "told")
        }
        moments = {
            name: datetime.fromisoformat(stored[name]) if stored[name] else None
            for name in ("since", "until")
        }
        return cls(**{**stored, **lists, **moments})

    @property
    def of_patients(self) -> bool:
        """Whether it is of patients' records, rather than of everything."""
        return self.level != SYSTEM

    def includes(self, resource_type: str) -> bool:
        """Whether resources of the type are asked for at all."""
        return self.types is None or resource_type in self.types

    def compartment_types(self) -> list[str]:
        """The types that are taken from patients' compartments; of everything, all types."""
        known = PATIENT_PARAMS if self.of_patients else RESOURCE_TYPES
        skipped = {PROVENANCE} if self.of_patients or self.provenance else set()
        return sorted(kind for kind in set(known) - skipped if self.includes(kind))

    def supporting_types(self) -> list[str]:
        """The types that come where patients' records refer to them."""
        if not self.of_patients or self.by_patient:
            return []
        return sorted(kind for kind in SUPPORTING - set(PATIENT_PARAMS) if self.includes(kind))

    @property
    def with_provenance(self) -> bool:
        """Whether Provenances are looked for by what they are about."""
        if self.provenance:
            return True
        return self.of_patients and self.includes(PROVENANCE)


def read_request(
    given: Arguments,
    view: LakeAt,
    *,
    level: str,
    group: str | None = None,
    elements: Sequence[str] = (),
    lenient: bool = False,
) -> ExportRequest:
    """The request that parameters make. Raises FhirError, each parameter named.

    `elements`: the `_elements` of the address, which `Arguments` leaves to the answer's form.
    """
    told: list[str] = []

    def passed(check: Callable[[], Any], otherwise: Any) -> Any:
        """The value of a parameter; where lenient, a wrong one is told instead of refused."""
        try:
            return check()
        except FhirError as failure:
            if not lenient or failure.category == "forbidden":
                raise
            told.extend(issue.diagnostics for issue in failure.issues)
            return otherwise

    passed(lambda: given.only(*NAMES), None)
    format = passed(lambda: _format(given), NDJSON)
    types = passed(lambda: _types(given, level, told if lenient else None), None)
    by_patient = passed(lambda: _organized(given, level, types), False)
    request = ExportRequest(
        level=level,
        group=group,
        types=types,
        filters=passed(lambda: _filters(given, view, types), {}),
        # A wrong bound would give more than was asked for, without a word that is read in time.
        since=given.instant("_since"),
        until=given.instant("_until"),
        elements=passed(lambda: _elements([*elements, *given.texts("_elements")]), ()),
        patients=_patients(given, level),
        provenance=passed(lambda: _provenance(given), ""),
        by_patient=by_patient,
        format=format,
        told=tuple(told),
    )
    if given.text("allowPartialManifests") not in (None, "true", "false"):
        raise error("value", "allowPartialManifests is true or false.", "allowPartialManifests")
    if request.format == PARQUET and (request.elements or request.by_patient):
        raise error(
            "not-supported",
            "Parquet files have all columns and are by type: leave out _elements and "
            "organizeOutputBy, or ask for ndjson.",
            "_outputFormat",
        )
    return request


def issue_of(text: str) -> Issue:
    """What was not applied, as an issue of the export's outcomes."""
    return Issue("warning", "not-supported", text)


def _format(given: Arguments) -> str:
    # A `+` that came through an address unescaped is a space.
    text = (given.text("_outputFormat") or NDJSON).strip().replace(" ", "+")
    found = _FORMATS.get(text)
    if found is None:
        raise error(
            "not-supported", f"_outputFormat is one of {', '.join(_FORMATS)}.", "_outputFormat"
        )
    return found


def _types(given: Arguments, level: str, told: list[str] | None) -> tuple[str, ...] | None:
    names = [name for name in given.words("_type") if name]
    if not names:
        return None
    wrong = [name for name in names if name not in RESOURCE_TYPES]
    texts = [f"_type: {name[:64]!r} is not a resource type of FHIR R4." for name in wrong]
    known = [name for name in names if name in RESOURCE_TYPES]
    if level != SYSTEM:
        allowed = {*PATIENT_PARAMS, *SUPPORTING, PROVENANCE}
        outside = [name for name in known if name not in allowed]
        texts += [f"_type: {name} is in no patient's record; ask for $export." for name in outside]
        known = [name for name in known if name in allowed]
    if texts and (told is None or not known):
        raise error("value", " ".join(texts), "_type")
    if texts and told is not None:
        told += texts
    return tuple(dict.fromkeys(known))


def _filters(
    given: Arguments, view: LakeAt, types: Sequence[str] | None
) -> dict[str, list[Criteria]]:
    found: dict[str, list[Criteria]] = {}
    for text in _queries(given.texts("_typeFilter")):
        resource_type, mark, query = text.partition("?")
        if resource_type not in RESOURCE_TYPES or not mark:
            raise error(
                "value",
                "_typeFilter is a search of a resource type, such as Observation?category=x.",
                "_typeFilter",
            )
        if types is not None and resource_type not in types:
            raise error(
                "value", f"_typeFilter is of {resource_type}, which is not in _type.", "_typeFilter"
            )
        criteria = [[name, value] for name, value in parse_qsl(query, keep_blank_values=True)]
        for name, _ in criteria:
            if name.partition(":")[0] in _OF_RESULTS:
                raise error(
                    "not-supported", f"_typeFilter: {name} chooses no resources.", "_typeFilter"
                )
        params = [(name, value) for name, value in criteria]
        # Refused now, rather than in the middle of the export.
        view.search(resource_type, [*params, ("_count", "0")], strict=True, audit_log=False)
        found.setdefault(resource_type, []).append(criteria)
    return found


def _queries(texts: Sequence[str]) -> list[str]:
    """The queries in lists of them; a comma within one separates alternatives of a value."""
    return [part for text in texts for part in _NEXT_QUERY.split(text) if part]


def _elements(texts: Sequence[str]) -> tuple[str, ...]:
    names = tuple(name.strip() for text in texts for name in text.split(",") if name.strip())
    if names:
        parse_elements(",".join(names))
    return names


def _patients(given: Arguments, level: str) -> tuple[str, ...] | None:
    if "patient" not in given.given:
        return None
    if level == SYSTEM:
        raise error("not-supported", "patient is of Patient/$export and Group/$export.", "patient")
    found = []
    for text in given.references("patient"):
        parsed = parse_reference(text)
        id = parsed.id if parsed.resource_type == "Patient" else text if is_id(text) else None
        if id is None or parsed.kind == "absolute":
            raise error("value", "patient is a reference Patient/ID of this server.", "patient")
        found.append(id)
    return tuple(dict.fromkeys(found))


def _provenance(given: Arguments) -> str:
    values = [name for name in given.words("includeAssociatedData") if name]
    for name in values:
        if name not in (LATEST, RELEVANT):
            raise error(
                "not-supported",
                f"includeAssociatedData is {LATEST} or {RELEVANT}.",
                "includeAssociatedData",
            )
    # Of several the one that gives more.
    return RELEVANT if RELEVANT in values else LATEST if values else ""


def _organized(given: Arguments, level: str, types: Sequence[str] | None) -> bool:
    value = given.text("organizeOutputBy")
    if value is None:
        return False
    if value != "Patient":
        raise error(
            "not-supported", "organizeOutputBy is Patient, or is left out.", "organizeOutputBy"
        )
    if level == SYSTEM:
        raise error(
            "not-supported",
            "organizeOutputBy is of Patient/$export and Group/$export.",
            "organizeOutputBy",
        )
    outside = sorted(set(types or ()) - set(PATIENT_PARAMS) - {PROVENANCE})
    if outside:
        raise error(
            "not-supported",
            f"{outside[0]} is in no patient's record: leave out organizeOutputBy, or this type.",
            "organizeOutputBy",
        )
    return True
