"""Which LOINC code a result has, where it is not that of the test's own row in the dictionary.

LOINC tells apart what a test was made on (`specimen_codes.tsv`) and whether a mass or an amount of
substance was measured (`unit_codes.tsv`). A result of another specimen or another kind of unit that
is in neither table carries no code: the words remain.
"""

from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any

from nlp.mention import Concept
from nlp.results.specimen import any_specimen, specimen_code
from nlp.results.units import equal_amounts
from nlp.rules import rows
from nlp.terminology import Term, UnitRange, systems
from schemas.ucum import canonical

_ONE = Decimal(1)
_TITRE = "{titer}"
_DIMENSIONLESS = ("[pH]", "1")


@cache
def _unit_codes() -> dict[tuple[str, str], Concept]:
    return {
        (test, unit): Concept(systems.LOINC, loinc, display, 1.0, systems.LOINC_CURATED)
        for test, unit, loinc, display in rows("unit_codes.tsv", 4)
    }


def _same_dimension(one: str, other: str) -> bool:
    if equal_amounts(one, other):
        return True
    first, second = canonical(_ONE, one), canonical(_ONE, other)
    return first is not None and second is not None and first[1] == second[1]


def _coding(concept: Concept | None) -> dict[str, str] | None:
    if concept is None:
        return None
    return {"system": concept.system, "code": concept.code, "display": concept.display}


def _one_specimen(term: Term, specimen: str) -> bool:
    """Whether the test is made on one specimen only, whatever the words around name."""
    if specimen in ("arterial", "venous"):
        return term.name not in ("pH", "pCO2", "pO2")
    return not term.units or term.name not in any_specimen()


@cache
def without_blood_ranges(term: Term | None, specimen: str | None) -> Term | None:
    """The test without its plausible ranges, which are those of blood, when it is of another."""
    if term is None or term.type != "LAB" or specimen in (None, "arterial", "venous"):
        return term
    if _one_specimen(term, specimen or "") or term.units[0].ucum in _DIMENSIONLESS:
        return term
    return replace(term, units=tuple(UnitRange(unit.ucum) for unit in term.units))


def set_coding(term: Term | None, specimen: str | None, content: dict[str, Any]) -> None:
    """Set `coding` in a result's content, None for no code, where the term's own is not right."""
    if term is None:
        return
    if specimen is not None and term.type == "LAB":
        scale = "Ord" if "concept" in content or "words" in content else "Qn"
        known = specimen_code(specimen, term.name, scale)
        if known is not None or not _one_specimen(term, specimen):
            content["coding"] = _coding(known)
            return
    unit = _TITRE if "dilution" in content else content.get("code")
    if unit is None or not (term.codes and (term.units or unit == _TITRE)):
        return
    if (term.name, unit) in _unit_codes():
        content["coding"] = _coding(_unit_codes()[term.name, unit])
    elif unit == _TITRE or not _same_dimension(term.units[0].ucum, unit):
        content["coding"] = None
