"""`_include` and `_revinclude`: which references bring further resources into a result.

https://hl7.org/fhir/R4/search.html#include
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.structure import RESOURCE_TYPES
from storage.query.chains import Reading, may_name, reference_param
from storage.query.criterion import bad_value, unsupported

INCLUDES = ("_include", "_revinclude")

_ITERATE = ("iterate", "recurse")  # The second is the name that STU3 had for it.


@dataclass(frozen=True, slots=True)
class Include:
    """The reference parameter `param` of `source_type`, to resources of a type or of any (empty).

    `reverse`: what refers to a match is included, not what a match refers to. `iterate`: what was
    included counts as well.
    """

    source_type: str
    param: str
    target_type: str
    reverse: bool
    iterate: bool


def include(reading: Reading, types: Sequence[str], given: str, value: str) -> list[Include]:
    """What one parameter includes. Raises FhirError for what names no reference parameter."""
    name, colon, modifier = given.partition(":")
    if colon and modifier not in _ITERATE:
        raise unsupported(given, "its only modifier is :iterate")
    reverse, iterate = name == "_revinclude", bool(colon)
    if value == "*":
        sources = sorted(RESOURCE_TYPES) if reverse or iterate else list(types)
        return [
            one for source in sources for one in _all(reading, types, source, "", reverse, iterate)
        ]
    parts = value.split(":")
    if len(parts) not in (2, 3) or not all(parts):
        raise bad_value(given, "it is written Type:parameter, Type:parameter:Type, or *")
    source, param, target = parts[0], parts[1], parts[2] if len(parts) == 3 else ""
    if source not in RESOURCE_TYPES or (target and target not in RESOURCE_TYPES):
        raise bad_value(given, "it names no resource type of R4")
    if not reverse and not iterate and source not in types:
        raise bad_value(given, f"{source} is not what is searched (:iterate takes other types)")
    if param == "*":
        return _all(reading, types, source, target, reverse, iterate)
    found = reference_param(reading, source, param)
    if found is None:
        raise bad_value(given, f"{source} has no reference parameter of that name")
    if target and not may_name(found, target):
        raise bad_value(given, f"this parameter never refers to {target}")
    if reverse and not iterate:
        if target and target not in types:
            raise bad_value(given, f"{target} is not what is searched")
        if not any(may_name(found, one) for one in types):
            raise bad_value(given, "this parameter never refers to what is searched")
    return [Include(source, param, target, reverse, iterate)]


def _all(
    reading: Reading,
    types: Sequence[str],
    source: str,
    target: str,
    reverse: bool,
    iterate: bool,
) -> list[Include]:
    """Every reference parameter of a type, as far as it can lead where it should."""
    found = []
    for param in sorted(reading.known(source).values(), key=lambda one: one.code):
        if param.pending is not None:
            continue  # It is not there yet: by its name it is refused.
        if param.type != "reference" or (target and not may_name(param, target)):
            continue
        if reverse and not iterate and not any(may_name(param, one) for one in types):
            continue
        found.append(Include(source, param.code, target, reverse, iterate))
    return found
