"""Dosage: the FHIR `Dosage` of a drug, one per clause of its instruction.

https://hl7.org/fhir/R4/dosage.html. The clauses were read with the note (`nlp/attributes.py`) and
are in the SIG attribute.
"""

from typing import Any

from nlp.mention import Attribute, Mention

_OF_THE_DRUG = frozenset(("SIG", "STATUS", "CHANGE", "START_DATE", "STOP_DATE"))


def dosages(mention: Mention) -> list[dict[str, Any]]:
    """The Dosage entries; every one carries the whole instruction as written in `text`."""
    sig = mention.attribute("SIG")
    if sig is None:
        return []
    words = " ".join(sig.text.split())
    entries: list[dict[str, Any]] = sig.value["dosage"] if sig.value else [{}]
    if not sig.value and all(a.type in ("FORM", "INDICATION") for a in _parts(mention)):
        return []
    return [_ordered(entry, words) for entry in entries]


def _parts(mention: Mention) -> list[Attribute]:
    return [a for a in mention.attributes if a.type not in _OF_THE_DRUG]


def _ordered(entry: dict[str, Any], words: str) -> dict[str, Any]:
    """The entry with the words of the note, `sequence` first as in the specification."""
    first = {"sequence": entry["sequence"]} if "sequence" in entry else {}
    rest = {key: value for key, value in entry.items() if key not in ("sequence", "text")}
    return first | {"text": words} | rest
