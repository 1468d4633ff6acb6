"""The drugs prescribed: RxNorm product and ingredient codes, strengths and directions.

RxNorm is produced by the US National Library of Medicine; the codes are of its current
prescribable content (October 2025).
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from schemas.codes import RXNORM
from service.synth.concepts import Json, coding, concept, quantity, snomed
from service.synth.tables import rows

_GTS = "http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation"

ROUTES = {
    "oral": (snomed("26643006", "Oral route"), "by mouth", "PO"),
    "inhaled": (snomed("447694001", "Respiratory tract route"), "inhaled", "inhaled"),
    "subcutaneous": (snomed("34206005", "Subcutaneous route"), "subcutaneously", "SC"),
    "sublingual": (snomed("37839007", "Sublingual route"), "under the tongue", "SL"),
    "intravenous": (snomed("47625008", "Intravenous route"), "intravenously", "IV"),
}


class Timing(NamedTuple):
    """How often a drug is taken: the FHIR Timing parts and two ways to say it."""

    repeat: Json
    code: Json | None
    words: str
    short: str


def _timing(
    frequency: int, period: int, unit: str, words: str, short: str, gts: str | None = None
) -> Timing:
    code = concept(short, coding(_GTS, gts)) if gts else None
    repeat = {"frequency": frequency, "period": Decimal(period), "periodUnit": unit}
    return Timing(repeat, code, words, short)


TIMINGS = {
    "daily": _timing(1, 1, "d", "once daily", "daily", "QD"),
    "bid": _timing(2, 1, "d", "twice daily", "BID", "BID"),
    "tid": _timing(3, 1, "d", "three times daily", "TID", "TID"),
    "q6h": _timing(1, 6, "h", "every 6 hours", "q6h", "Q6H"),
    "q8h": _timing(1, 8, "h", "every 8 hours", "q8h", "Q8H"),
    "q4h": _timing(1, 4, "h", "every 4 hours", "q4h", "Q4H"),
    "q5min": _timing(1, 5, "min", "every 5 minutes", "q5min"),
    "bedtime": _timing(1, 1, "d", "at bedtime", "qHS", "BED"),
    "weekly": _timing(1, 1, "wk", "once weekly", "weekly", "WK"),
}


class Dose(NamedTuple):
    """One strength of a drug with its directions. `amount` is per administration in `unit`."""

    drug: str  # key of the drug
    product: str
    concept: Json
    amount: Decimal
    unit: str
    dose_and_rate: list[Json]
    timing: Timing
    as_needed: bool
    route: Json
    text: str  # directions for the patient
    words: str  # `metformin 500 mg twice daily`
    strength: str  # `500 mg`


class Drug(NamedTuple):
    """A drug: its ingredient and a ladder of doses from the lowest up."""

    key: str
    name: str
    ingredient: str  # RxNorm ingredient code
    doses: tuple[Dose, ...]
    classes: frozenset[str]  # for allergies and contraindications


_UCUM = {
    "mg": "mg",
    "mcg": "ug",
    "g": "g",
    "puffs": "{puff}",
    "units": "[iU]",
    "tablet": "{tbl}",
}


def _dose(row: dict[str, str]) -> Dose:
    route, by, _ = ROUTES[row["route"]]
    timing, strength = TIMINGS[row["timing"]], f"{row['amount']} {row['unit']}"
    name, amount = row["name"], Decimal(row["amount"])
    medication = concept(
        f"{name} {strength}",
        coding(RXNORM, row["product"], row["product_label"]),
        coding(RXNORM, row["ingredient"], name),
    )
    needed = " as needed" if row["as_needed"] else ""
    verb = {"inhaled": "Inhale", "subcutaneous": "Inject", "intravenous": "Give"}.get(
        row["route"], "Take"
    )
    by = "" if row["route"] == "inhaled" else f" {by}"
    return Dose(
        drug=row["key"],
        product=row["product"],
        concept=medication,
        amount=amount,
        unit=row["unit"],
        dose_and_rate=[{"doseQuantity": quantity(amount, row["unit"], _UCUM[row["unit"]])}],
        timing=timing,
        as_needed=bool(needed),
        route=route,
        text=f"{verb} {strength}{by} {timing.words}{needed}",
        words=f"{name} {strength} {timing.words}{needed}",
        strength=strength,
    )


def _drugs() -> dict[str, Drug]:
    found: dict[str, Drug] = {}
    for row in rows("drugs"):
        key, dose = row["key"], _dose(row)
        known = found.get(key)
        if known is None:
            classes = frozenset(row["classes"].split())
            found[key] = Drug(key, row["name"], row["ingredient"], (dose,), classes)
        else:
            found[key] = known._replace(doses=(*known.doses, dose))
    return found


DRUGS: dict[str, Drug] = _drugs()

_UNSUITABLE = {
    "pregnancy": frozenset({"teratogen", "nsaid"}),
    "ckd": frozenset({"nsaid"}),
    "ckd4": frozenset({"renal"}),
    "anticoagulant": frozenset({"nsaid"}),
    "asthma": frozenset({"nonselective"}),
    "vascular": frozenset({"triptan"}),
    "child": frozenset({"adult"}),
}


EXCLUSIVE = frozenset({"anticoagulant", "beta_blocker", "nsaid", "ssri", "statin"})
"""Classes of which nobody takes two drugs at once."""


def unsuitable(drug: Drug, states: set[str]) -> bool:
    """Whether a careful prescriber would avoid the drug: an allergy, or a state such as pregnancy.

    `states` holds keys of drug classes the patient is allergic to and of contraindicating states.
    """
    return any(
        state in drug.classes or drug.classes & _UNSUITABLE.get(state, frozenset())
        for state in states
    )
