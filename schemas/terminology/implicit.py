"""Value sets that code systems define by their URL alone.

https://hl7.org/fhir/R4/snomedct.html#implicit, https://hl7.org/fhir/R4/loinc.html#implicit
"""

from __future__ import annotations

from typing import Any

from schemas.codes import LOINC, SNOMED


def value_set(canonical: str) -> dict[str, Any] | None:
    """The definition of an implicit value set; None for a URL that is none (or not understood)."""
    url = canonical.partition("|")[0]
    if url == f"{LOINC}/vs":
        return _of(url, {"system": LOINC})
    edition, mark, query = url.partition("?fhir_vs")
    if not mark or not edition.startswith(SNOMED):
        return None
    # An edition with its date (`…/sct/731000124108/version/20240301`) is a version of the system.
    include: dict[str, Any] = {"system": SNOMED}
    if edition != SNOMED:
        include["version"] = edition
    if not query:
        return _of(url, include)
    if query.startswith("=isa/") and query[5:].isdigit():
        include["filter"] = [{"property": "concept", "op": "is-a", "value": query[5:]}]
        return _of(url, include)
    return None


def _of(url: str, include: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "ValueSet",
        "url": url,
        "status": "active",
        "compose": {"include": [include]},
    }
