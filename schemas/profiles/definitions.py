"""R4's own profiles and extensions, and what of constraints is R4's own.

From HL7's package, see `schemas/r4/README.md`. https://hl7.org/fhir/R4/profilelist.html
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from schemas.structure import RESOURCE_TYPES, load_definitions

Json = dict[str, Any]
CORE = "http://hl7.org/fhir/StructureDefinition/"

# Of every element, checked by `schemas.validate` itself.
STRUCTURAL_CONSTRAINTS = frozenset({"ele-1", "ext-1", "ref-1"})


@cache
def _loaded() -> Json:
    found: Json = load_definitions("profiles.json.gz")
    return found


def is_r4_constraint(path: str, key: str, source: object) -> bool:
    """Whether R4 itself has the constraint at that element: it is checked with R4's own rules.

    `source` is what the constraint says of where it comes from, a canonical or nothing.
    """
    if key in STRUCTURAL_CONSTRAINTS or key in _constraint_keys().get(path, ()):
        return True
    name = str(source or "").removeprefix(CORE)
    return key in _constraint_keys().get(name, ())


@cache
def _constraint_keys() -> Mapping[str, frozenset[str]]:
    """Path of an element, or name of a type → keys of the constraints that R4 has there."""
    keys: dict[str, set[str]] = {}
    for type_name, element, key, *_ in load_definitions("invariants.json.gz"):
        keys.setdefault(f"{type_name}.{element}" if element else type_name, set()).add(key)
    of_resources = keys["DomainResource"]
    for kind in RESOURCE_TYPES:
        keys.setdefault(kind, set()).update(of_resources)
    return MappingProxyType({path: frozenset(found) for path, found in keys.items()})


def r4_definition(canonical: str) -> Json | None:
    """R4's StructureDefinition of a profile or extension by its url, None for others.

    A version in the canonical has to be R4's.
    """
    url, _, version = canonical.partition("|")
    if version not in ("", "4.0.1", "4.0"):
        return None
    return _loaded().get(url)
