"""Where each kind of criterion finds its facts in the views: SQL over flat columns."""

from __future__ import annotations

from dataclasses import dataclass

_NOT_THE_PATIENTS = (
    "NOT coalesce(list_has_any(nlp_traits, ['NEGATED', 'FAMILY', 'HYPOTHETICAL']), false)"
)
_NOT_IN_ERROR = "coalesce(status, '') <> 'entered-in-error'"
_NOT_REFUTED = "coalesce(verification_status, '') NOT IN ('refuted', 'entered-in-error')"


@dataclass(frozen=True)
class FactColumns:
    """SQL expressions over one view; `always` is met by everything that may ever count.

    A resource that was entered in error or refuted never counts, nor what a note says of someone
    else, denies or supposes. `date` is the first moment of what is written.
    """

    view: str
    date: str
    always: str
    status: str = "status"
    from_note: str = "(source = 'nlp')"
    value: str = "NULL::DOUBLE"
    unit: str = "NULL::VARCHAR"
    comparator: str = "NULL::VARCHAR"
    verification: str | None = None
    class_code: str | None = None


FACTS: dict[str, FactColumns] = {
    "condition": FactColumns(
        view="condition",
        date="coalesce(onset, recorded)",
        always=f"{_NOT_REFUTED} AND {_NOT_THE_PATIENTS}",
        status="clinical_status",
        verification="verification_status",
    ),
    # A proposal or an option is nobody's medication yet, and an order not to give is the reverse.
    "medication": FactColumns(
        view="medication",
        date="started",
        always=f"{_NOT_IN_ERROR} AND {_NOT_THE_PATIENTS} "
        "AND coalesce(intent, '') NOT IN ('proposal', 'option') "
        "AND NOT coalesce(do_not_perform, false)",
    ),
    "observation": FactColumns(
        view="observation",
        date="coalesce(effective, issued)",
        always=f"{_NOT_IN_ERROR} AND {_NOT_THE_PATIENTS}",
        value="value_number",
        unit="value_unit",
        comparator="value_comparator",
    ),
    "procedure": FactColumns(
        view="procedure", date="performed", always=f"{_NOT_IN_ERROR} AND {_NOT_THE_PATIENTS}"
    ),
    "encounter": FactColumns(
        view="encounter",
        date="started",
        always=_NOT_IN_ERROR,
        from_note="false",
        class_code="class",
    ),
    "immunization": FactColumns(
        view="immunization",
        date="coalesce(occurrence, recorded)",
        always=_NOT_IN_ERROR,
        from_note="false",
    ),
    "allergy": FactColumns(
        view="allergy",
        date="coalesce(onset, recorded)",
        always=f"{_NOT_REFUTED} AND {_NOT_THE_PATIENTS}",
        status="clinical_status",
        verification="verification_status",
    ),
}
