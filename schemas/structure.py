"""The element tables of FHIR R4 4.0.1: resources, datatypes and their backbone elements.

From HL7's StructureDefinitions (`schemas/r4/README.md`). A backbone element is a type of its own
here, named by its path (`Patient.contact`).
https://hl7.org/fhir/R4/resourcelist.html, https://hl7.org/fhir/R4/datatypes.html
"""

from __future__ import annotations

import difflib
import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from types import MappingProxyType
from typing import Any

FHIR_VERSION = "4.0.1"


def load_definitions(name: str) -> Any:
    """The JSON of a data file in `schemas/r4`, gunzipped where its name ends in `.gz`."""
    body = resources.files("schemas.r4").joinpath(name).read_bytes()
    return json.loads(gzip.decompress(body) if name.endswith(".gz") else body)


@dataclass(frozen=True)
class Element:
    """One element of a type, as its StructureDefinition has it.

    `name` is without the `[x]` of a choice. `many` says that JSON has an array. `types` has one
    type, or several for a choice; `targets` the resource types a Reference may name (None: any);
    `binding` the URL of a value set whose codes are the only ones allowed.
    """

    name: str
    required: bool
    many: bool
    choice: bool
    types: tuple[str, ...]
    targets: frozenset[str] | None
    binding: str | None

    @cached_property
    def json_names(self) -> dict[str, str]:
        """JSON key → type: one key, or one for each type of a choice (`valueQuantity`)."""
        if not self.choice:
            return {self.name: self.types[0]}
        return {self.name + kind[0].upper() + kind[1:]: kind for kind in self.types}


@dataclass(frozen=True)
class TypeTable:
    """A type: `kind` is resource, complex-type, primitive-type or backbone."""

    name: str
    kind: str
    abstract: bool
    elements: Mapping[str, Element]

    @cached_property
    def json_names(self) -> dict[str, tuple[Element, str]]:
        """JSON key → the element it belongs to, and the type that the key says."""
        return {
            key: (element, kind)
            for element in self.elements.values()
            for key, kind in element.json_names.items()
        }


def _table(name: str, described: dict[str, Any]) -> TypeTable:
    elements = {}
    for label, least, most, types, targets, binding, shared in described["elements"]:
        choice = label.endswith("[x]")
        own_types = [shared] if shared else types
        if described["kind"] == "resource" and label == "id":
            own_types = ["id"]
        element = Element(
            name=label.removesuffix("[x]"),
            required=least > 0,
            many=most is None,
            choice=choice,
            types=tuple(_SYSTEM_TYPES.get(kind, kind) for kind in own_types),
            targets=frozenset(targets) if targets is not None else None,
            binding=binding,
        )
        elements[element.name] = element
    return TypeTable(name, described["kind"], described["abstract"], MappingProxyType(elements))


# FHIRPath's name for what JSON has as a plain string.
_SYSTEM_TYPES = {"http://hl7.org/fhirpath/System.String": "string"}

_DEFINITIONS = load_definitions("structure.json.gz")

TYPES: Mapping[str, TypeTable] = MappingProxyType(
    {name: _table(name, described) for name, described in _DEFINITIONS["types"].items()}
)
"""Every type by its name."""

RESOURCE_TYPES: frozenset[str] = frozenset(
    name for name, table in TYPES.items() if table.kind == "resource" and not table.abstract
)
"""The resource types that can be sent and stored: R4's list of 148 without the two abstract ones,
Resource and DomainResource."""

PRIMITIVE_TYPES: frozenset[str] = frozenset(
    name for name, table in TYPES.items() if table.kind == "primitive-type"
)


def suggestion(name: str, names: Iterable[str]) -> str:
    """` Did you mean 'birthDate'?` when a known name is near, else the empty string."""
    folded = {known.casefold(): known for known in names}
    near = difflib.get_close_matches(name.casefold()[:64], folded, n=1, cutoff=0.7)
    return f" Did you mean {folded[near[0]]!r}?" if near else ""
