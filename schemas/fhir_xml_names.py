"""What the XML form of FHIR and its JSON form share: namespaces, attributes, limits.

https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

from functools import cache

from schemas.structure import TYPES

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"
SCHEMA_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"

MAX_XML_DEPTH = 200
"""The deepest nesting that is read, narratives included: JSON's limit and as much again."""


@cache
def attributes_of(kind: str) -> frozenset[str]:
    """Elements of a type that XML has as attributes: `id` of what is no resource, `Extension.url`.

    https://hl7.org/fhir/R4/xml.html (StructureDefinition: representation xmlAttr)
    """
    if kind == "Extension":
        return frozenset({"id", "url"})
    return frozenset() if TYPES[kind].kind == "resource" else frozenset({"id"})
