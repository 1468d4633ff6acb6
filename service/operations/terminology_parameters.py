"""What a client gives an operation on terminology: the address, a Parameters resource, or both.

https://hl7.org/fhir/R4/operations.html#executing. A parameter that the operation does not have is
refused, and so is one that it has in R4 but not here: an answer that left it out of account could
be a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import Request

from schemas.dates import date_range
from schemas.outcomes import error
from schemas.parse import parse_resource
from schemas.terminology import Terminology
from schemas.validate import check
from service.as_of import parse_at, view_at
from service.context import Context
from service.notices import Notice
from storage.lake import AsOf, LakeAt

Json = dict[str, Any]

# Of every interaction: the form of the answer, and as of when.
_COMMON = frozenset({"_format", "_pretty", "_summary", "_elements", "at"})
_TEXTS = frozenset({
    "valueString", "valueUri", "valueUrl", "valueCanonical", "valueCode", "valueId",
    "valueDateTime", "valueDate", "valueInstant",
})  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an operation.

    `kind`: text, boolean, integer, Coding, CodeableConcept, part, or the type of a resource.
    `name_in_json` is the `value[x]` under which it is repeated in an expansion.
    """

    kind: str = "text"
    many: bool = False
    name_in_json: str = "valueString"


Specification = Mapping[str, Parameter | None]
"""The parameters of an operation; None for those of R4 that are not supported here."""


class Given:
    """The parameters of one request, each checked against the operation's specification."""

    def __init__(self, values: dict[str, list[Any]]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        """The text of a parameter; empty where it was not given."""
        return str(self._first(name, ""))

    def many(self, name: str) -> list[Any]:
        """The values of a parameter that may be repeated."""
        return self._values.get(name, [])

    def flag(self, name: str, *, default: bool = False) -> bool:
        """The value of a boolean."""
        return bool(self._first(name, default))

    def boolean(self, name: str) -> bool | None:
        """The value of a boolean, None where it was not given."""
        found = self._first(name, None)
        return None if found is None else bool(found)

    def number(self, name: str) -> int | None:
        """The value of an integer, None where it was not given. FhirError `value` below 0."""
        found = self._first(name, None)
        if found is None:
            return None
        if found < 0:
            raise error("value", f"{name} is a number from 0 on.", name)
        return int(found)

    def element(self, name: str) -> Json | None:
        """The value of a Coding, CodeableConcept or resource, None where it was not given."""
        found: Json | None = self._first(name, None)
        return found

    def has(self, name: str) -> bool:
        """Whether it was given."""
        return name in self._values

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for name, values in self._values.items():
            for value in values:
                yield name, value

    def _first(self, name: str, default: Any) -> Any:
        return self._values[name][0] if name in self._values else default


def read_parameters(request: Request, body: bytes | None, specification: Specification) -> Given:
    """The parameters of a request.

    `body`, of a POST: Parameters, or the only resource that the operation takes. Raises FhirError:
    `not-supported` (unknown or unsupported parameters), `value`, `structure`, `invalid` (given
    twice).
    """
    found: dict[str, list[Any]] = {}
    for name, text in request.query_params.multi_items():
        if name not in _COMMON:
            _add(found, specification, name, _of_text(specification, name, text))
    if body:
        resource = parse_resource(body)
        check(resource)
        kind = resource["resourceType"]
        if kind == "Parameters":
            for one in resource.get("parameter", []):
                name = one["name"]
                _add(found, specification, name, _of_json(specification, name, one))
        else:
            name = _taking(specification, kind)
            _add(found, specification, name, resource)
    return Given(found)


@contextmanager
def terminology_at(
    ctx: Context, request: Request, given: Given
) -> Iterator[tuple[Terminology, LakeAt, Notice]]:
    """What was known of codes as of `at` (or the parameter `date`), the lake then, and a notice."""
    at = parse_at(request.query_params.getlist("at"))
    if given.has("date"):
        if at is not None:
            raise error("invalid", "at and date both say as of when; give one of them.", "date")
        at = _moment(given.text("date"))
    with view_at(ctx.lake, at) as (view, said):
        yield ctx.lake.canonicals.terminology(at=view.t), view, said


def result(**values: Any) -> Json:
    """A Parameters resource: each value is a text, boolean, or a list of ready parameters."""
    parameters: list[Json] = []
    for name, value in values.items():
        if value is None or value == "":
            continue
        if isinstance(value, list):
            parameters += value
        elif isinstance(value, bool):
            parameters.append({"name": name, "valueBoolean": value})
        else:
            parameters.append({"name": name, "valueString": str(value)})
    return {"resourceType": "Parameters", "parameter": parameters}


def required(name: str, message: str) -> Exception:
    """The error for parameters that are missing."""
    return error("required", message, name)


def _moment(text: str) -> AsOf | None:
    """The end of a date, or now where that is later. FhirError `value`."""
    try:
        _, high_us = date_range(text)
    except ValueError:
        raise error("value", "date is not a FHIR date or dateTime.", "date") from None
    # The last moment of it: a date names the state that its end found.
    moment = _EPOCH + timedelta(microseconds=high_us - 1)
    return None if moment >= datetime.now(UTC) else moment


def _known(specification: Specification, name: str) -> Parameter:
    if name not in specification:
        raise error("not-supported", f"{name[:64]!r} is no parameter of this operation.", name[:64])
    found = specification[name]
    if found is None:
        raise error("not-supported", f"The parameter {name} is not supported here.", name)
    return found


def _add(found: dict[str, list[Any]], specification: Specification, name: str, value: Any) -> None:
    values = found.setdefault(name, [])
    if values and not _known(specification, name).many:
        raise error("invalid", f"{name} is given twice.", name)
    values.append(value)


def _taking(specification: Specification, kind: str) -> str:
    """The parameter that takes a resource that was sent as it is."""
    for name, parameter in specification.items():
        if parameter is not None and parameter.kind == kind:
            return name
    raise error("structure", f"This operation takes Parameters, not a {kind}.", "resourceType")


def _of_text(specification: Specification, name: str, text: str) -> Any:
    kind = _known(specification, name).kind
    if kind == "text":
        if not text:
            raise error("value", f"{name} is empty.", name)
        return text
    if kind == "boolean":
        if text not in ("true", "false"):
            raise error("value", f"{name} is true or false.", name)
        return text == "true"
    if kind == "integer":
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise error("value", f"{name} is a number from 0 on.", name)
        return int(text)
    raise error("invalid", f"{name} is a {kind}: send it in Parameters, with POST.", name)


def _of_json(specification: Specification, name: str, one: Json) -> Any:
    kind = _known(specification, name).kind
    if kind == "part":
        return one.get("part", [])
    if kind[:1].isupper() and kind not in ("Coding", "CodeableConcept"):
        resource = one.get("resource")
        if not isinstance(resource, dict) or resource.get("resourceType") != kind:
            raise error("value", f"{name} is a resource of the type {kind}.", name)
        return resource
    key = next((key for key in one if key.startswith("value")), "")
    wanted = {
        "text": _TEXTS,
        "boolean": {"valueBoolean"},
        "integer": {"valueInteger", "valuePositiveInt", "valueUnsignedInt"},
    }.get(kind, {f"value{kind}"})
    if key not in wanted:
        raise error("value", f"{name} is a {kind}, given as {sorted(wanted)[0]}.", name)
    return one[key]
