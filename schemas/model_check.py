"""A second opinion on a resource that was refused, from the models of `fhir.resources`.

The package's models are of R4B. They are asked only about types all of whose R4 elements are in
R4B too (`covered`), only after `schemas.validate` has found something (they are twenty times
slower), and only what they find where it found nothing is told, as warnings.
https://pypi.org/project/fhir.resources/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from schemas.outcomes import Issue
from schemas.structure import PRIMITIVE_TYPES, TYPES

_INDEX = re.compile(r"\[[0-9]+\]")
# R4 lets an extension's value (and the like) be a Meta, R4B does not. (Nor do the models take every
# `_name` sibling that R4 has.)
_NOT_IN_R4B = "Meta"
# pydantic's kinds of error → our words; its own may repeat the value.
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not an element here",
    "list_type": "must be an array",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "decimal_type": "must be a number",
}


def explain(resource: dict[str, Any], issues: Iterable[Issue]) -> list[Issue]:
    """What the R4B model finds at elements that no issue of `issues` is about.

    Empty for a type that R4B lacks or has changed. Never raises for odd content, and the texts
    never repeat it.
    """
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or not covered(kind):
        return []
    known = [_INDEX.sub("", place) for issue in issues for place in issue.expression]
    found = []
    for problem, loc in _model_errors(kind, resource):
        last = str(loc[-1]) if loc else ""
        if last.endswith(_NOT_IN_R4B) or last.startswith("_"):
            continue
        place = _spelled(kind, loc)
        bare = _INDEX.sub("", place)
        if any(_about(bare, one) for one in known):
            continue
        text = f"{place} {_WORDS.get(problem, 'does not fit')} (by the R4B model of {kind})."
        found.append(Issue("warning", "structure", text, (place,)))
    return found


def _about(place: str, known: str) -> bool:
    """Whether one of the two elements is the other or is in it, whatever the choice's type."""
    return f"{place}.".startswith(f"{known}.") or known.startswith(place)


def _model_errors(kind: str, resource: dict[str, Any]) -> list[tuple[str, tuple[Any, ...]]]:
    from fhir.resources.R4B import get_fhir_model_class
    from pydantic import ValidationError

    try:
        get_fhir_model_class(kind).model_validate(resource)
    except ValidationError as failure:
        listed = failure.errors(include_url=False, include_context=False, include_input=False)
        return [(str(one["type"]), one["loc"]) for one in listed]
    except (TypeError, ValueError, AttributeError, KeyError, LookupError, ArithmeticError):
        return []  # The models themselves fail on some content; they then have no opinion.
    return []


def _spelled(kind: str, loc: tuple[Any, ...]) -> str:
    place = kind
    for part in loc:
        place += f"[{part}]" if isinstance(part, int) else f".{str(part)[:64]}"
    return place


@cache
def covered(type_name: str) -> bool:
    """Whether R4B's model has all elements of R4's type, and of all that it is made of.

    What such a model then refuses, R4 refuses as well; what R4B adds does no harm here.
    """
    seen: set[str] = set()
    waiting = [type_name]
    while waiting:
        name = waiting.pop()
        if name in seen or name in PRIMITIVE_TYPES or name == "Resource":
            continue
        seen.add(name)
        if not _has_elements(name):
            return False
        waiting += [kind for _, kind in TYPES[name].json_names.values()]
    return True


@cache
def _has_elements(name: str) -> bool:
    from fhir.resources.R4B import get_fhir_model_class

    model = "".join(part[0].upper() + part[1:] for part in name.split("."))
    try:
        fields = get_fhir_model_class(model).model_fields
    except ValueError:  # R4B has no such type.
        return False
    names = {field.alias or key for key, field in fields.items()}
    known = {
        key
        for key, (element, _) in TYPES[name].json_names.items()
        if not (element.choice and key.endswith(_NOT_IN_R4B))
    }
    return names >= known
