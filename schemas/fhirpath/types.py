"""Types: which names there are, and what is one of them.

https://hl7.org/fhir/R4/fhirpath.html#types, http://hl7.org/fhirpath/N1/#types-and-reflection
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from schemas.fhirpath.errors import FhirPathError
from schemas.fhirpath.nodes import Node
from schemas.fhirpath.quantities import Quantity
from schemas.fhirpath.temporal import Temporal
from schemas.structure import PRIMITIVE_TYPES, RESOURCE_TYPES, TYPES, suggestion

SYSTEM_TYPES = frozenset(
    {"Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity", "Any"}
)
_ABSTRACT = frozenset({"Element", "BackboneElement", "Resource", "DomainResource"})
_PARENTS = {
    **dict.fromkeys(("code", "id", "markdown"), "string"),
    **dict.fromkeys(("url", "canonical", "oid", "uuid"), "uri"),
    **dict.fromkeys(("positiveInt", "unsignedInt"), "integer"),
    **dict.fromkeys(("Age", "Count", "Distance", "Duration"), "Quantity"),
    **dict.fromkeys(
        (
            "Dosage", "ElementDefinition", "MarketingStatus", "Population", "ProdCharacteristic",
            "ProductShelfLife", "SubstanceAmount", "Timing",
        ),
        "BackboneElement",
    ),
    "BackboneElement": "Element",
    "DomainResource": "Resource",
    **dict.fromkeys(("Bundle", "Binary", "Parameters"), "Resource"),
}  # fmt: skip


@dataclass(frozen=True)
class TypeInfo:
    """What `type()` says."""

    namespace: str
    name: str


def supertypes(name: str) -> frozenset[str]:
    """A FHIR type and all it is derived from."""
    found = _SUPERTYPES.get(name)
    if found is None:
        names = {name}
        at: str | None = name
        while at is not None:
            if at in _PARENTS:
                at = _PARENTS[at]
            elif at in RESOURCE_TYPES:
                at = "DomainResource"
            elif "." in at:
                at = "BackboneElement"
            else:
                at = "Element" if at in TYPES and at not in ("Element", "Resource") else None
            if at is not None:
                names.add(at)
        found = _SUPERTYPES[name] = frozenset(names)
    return found


_SUPERTYPES: dict[str, frozenset[str]] = {}


def system_type(value: Any) -> str:
    """The System type of a value that is no node."""
    kind = type(value)
    if kind is bool:
        return "Boolean"
    if kind is int:
        return "Integer"
    if kind is Decimal:
        return "Decimal"
    if kind is str:
        return "String"
    if isinstance(value, Temporal):
        return value.kind
    return "Quantity" if isinstance(value, Quantity) else "Any"


def type_of(item: Any) -> TypeInfo:
    """Namespace and name of an item's type."""
    if isinstance(item, Node):
        return TypeInfo("FHIR", "BackboneElement" if "." in item.type else item.type)
    return TypeInfo("System", system_type(item))


class TypeTest:
    """Whether items are of a type that an expression names. Raises FhirPathError (semantic) for a
    name that neither FHIR R4 nor System has."""

    def __init__(self, specifier: str) -> None:
        namespace, _, name = specifier.rpartition(".")
        fhir = name in TYPES or name in _ABSTRACT
        if namespace not in ("", "FHIR", "System"):
            raise FhirPathError(f"{namespace!r} is no namespace of types.", "semantic")
        if namespace != "System" and not fhir and (namespace or name not in SYSTEM_TYPES):
            near = suggestion(name, TYPES)
            raise FhirPathError(f"{specifier[:64]!r} is no type of FHIR R4.{near}", "semantic")
        self.fhir = name if fhir and namespace != "System" else None
        self.system = name if namespace != "FHIR" else None

    def is_(self, item: Any) -> bool:
        """Of the type, or derived from it."""
        if isinstance(item, Node):
            return self.fhir is not None and self.fhir in supertypes(item.type)
        return self.system is not None and self.system in (system_type(item), "Any")

    def as_(self, item: Any) -> bool:
        """As `is_`, but a primitive must be of exactly the type: a code is no string here (the
        official tests of R4 have it so)."""
        if isinstance(item, Node) and item.type in PRIMITIVE_TYPES:
            return item.type == self.fhir
        return self.is_(item)
