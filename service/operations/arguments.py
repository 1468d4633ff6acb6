"""The parameters of an operation: of the address, and of a Parameters resource in the body.

Nothing is passed over: a parameter that the operation does not have is refused.
https://hl7.org/fhir/R4/operations.html#request
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Request

from schemas.dates import MAX_US, MIN_US, date_range
from schemas.ids import parse_instant
from schemas.outcomes import FhirError, error
from schemas.parse import canonical_bytes, parse_resource
from service.representation import REPRESENTATION_PARAMETERS
from service.request_body import fhir_body


class Arguments:
    """What was given to an operation. Methods raise FhirError that name the parameter."""

    def __init__(self, address: Iterable[tuple[str, str]], body: Mapping[str, Any] | None) -> None:
        """`body`: a Parameters resource. Raises FhirError `structure` for one that is malformed."""
        self._texts: dict[str, list[str]] = {}
        self._parts: dict[str, list[dict[str, Any]]] = {}
        for name, value in address:
            if name not in REPRESENTATION_PARAMETERS:
                self._texts.setdefault(name, []).append(value)
        for place, part in _parts(body or {}):
            label = part.get("name")
            if not isinstance(label, str):
                raise error("structure", f"{place} has no name.", place)
            self._parts.setdefault(label, []).append(part)

    @property
    def given(self) -> set[str]:
        """The names of what was given."""
        return {*self._texts, *self._parts}

    def only(self, *names: str) -> None:
        """Refuse (`not-supported`) what is none of the operation's parameters."""
        for name in sorted(self.given - set(names)):
            shown = name[:64]
            known = ", ".join(names) or "none"
            raise error(
                "not-supported", f"{shown!r} is no parameter of this operation ({known}).", shown
            )

    def texts(self, name: str) -> list[str]:
        """All values of a parameter of a primitive type, as text."""
        found = list(self._texts.get(name, ()))
        for part in self._parts.get(name, ()):
            values = [value for key, value in part.items() if key.startswith("value")]
            if len(values) != 1 or isinstance(values[0], (dict, list)):
                raise error("value", f"{name} has one value of a primitive type.", name)
            value = values[0]
            found.append(value if isinstance(value, str) else canonical_bytes(value).decode())
        return found

    def spelled(self, name: str) -> list[str]:
        """The values as an address has them; a Coding as `system|code`."""
        codings = [
            f"{part['valueCoding'].get('system', '')}|{part['valueCoding'].get('code', '')}"
            for part in self._parts.get(name, ())
            if isinstance(part.get("valueCoding"), dict)
        ]
        return [*self._texts.get(name, ()), *codings] if codings else self.texts(name)

    def period(self) -> tuple[int, int]:
        """`start` and `end`, FHIR dates of any precision, as a half-open interval.

        In microseconds since the epoch; open where one is not given.
        """
        low_us, high_us = MIN_US, MAX_US
        if (start := self.text("start")) is not None:
            low_us = _date(start, "start")[0]
        if (end := self.text("end")) is not None:
            high_us = _date(end, "end")[1]
        if low_us >= high_us:
            raise error("value", "start is after end.", "start", "end")
        return low_us, high_us

    def text(self, name: str) -> str | None:
        """The value of a parameter that is given once, as text; None where it is not given."""
        found = list(dict.fromkeys(self.texts(name)))
        if len(found) > 1:
            raise error("invalid", f"{name} is given twice, with different values.", name)
        return found[0] if found else None

    def required(self, name: str) -> str:
        """The value of a parameter that has to be given."""
        found = self.text(name)
        if not found:
            raise error("required", f"{name} is missing.", name)
        return found

    def instant(self, name: str) -> datetime | None:
        """The value of a parameter that is a FHIR instant; None where it is not given."""
        text = self.text(name)
        return None if text is None else instant_of(text, name)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """The value of a boolean parameter."""
        text = self.text(name)
        if text not in (None, "true", "false"):
            raise error("value", f"{name} is true or false.", name)
        return default if text is None else text == "true"

    def words(self, name: str) -> list[str]:
        """All values of a parameter, each of them one or several, separated by commas."""
        return [word.strip() for text in self.texts(name) for word in text.split(",")]

    def resources(self, name: str) -> list[dict[str, Any]]:
        """The resources that a parameter of the body has."""
        found = []
        for part in self._parts.get(name, ()):
            resource = part.get("resource")
            if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
                raise error("value", f"{name} carries a resource.", name)
            found.append(resource)
        if name in self._texts:
            raise error("value", f"{name} carries a resource, in a Parameters resource.", name)
        return found

    def has_resource(self, name: str) -> bool:
        """Whether a parameter of the body is a resource, rather than a value."""
        return any("resource" in part for part in self._parts.get(name, ()))

    def references(self, name: str) -> list[str]:
        """The literal references of a parameter: `valueReference`, or text."""
        found = list(self._texts.get(name, ()))
        for part in self._parts.get(name, ()):
            value = part.get("valueReference")
            text = value.get("reference") if isinstance(value, dict) else part.get("valueString")
            if not isinstance(text, str):
                raise error("value", f"{name} has a reference.", name)
            found.append(text)
        return found


def instant_of(text: str, name: str) -> datetime:
    """The instant that a parameter's value is, aware. Raises FhirError `value`."""
    try:
        # A `+` of an offset that came through an address unescaped is a space.
        return parse_instant(text.replace(" ", "+"))
    except ValueError:
        raise error(
            "value",
            f"{name} is an instant such as 2026-05-01T12:00:00Z (with seconds and a zone).",
            name,
        ) from None


def _date(text: str, name: str) -> tuple[int, int]:
    try:
        # A `+` of an offset that came through an address unescaped is a space.
        return date_range(text.replace(" ", "+"))
    except ValueError:
        raise error("value", f"{name} is not a FHIR date.", name) from None


def _parts(body: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    parts = body.get("parameter", [])
    if not isinstance(parts, list):
        raise error("structure", "Parameters.parameter is a list.", "Parameters.parameter")
    found = []
    for number, part in enumerate(parts):
        place = f"Parameters.parameter[{number}]"
        if not isinstance(part, dict):
            raise error("structure", f"{place} is an object.", place)
        found.append((place, part))
    return found


async def _arguments(request: Request) -> Arguments:
    body: dict[str, Any] | None = None
    if request.method == "POST":
        length = request.headers.get("content-length")
        if length != "0" and (length or request.headers.get("transfer-encoding")):
            body = parameters_of(await fhir_body(request))
    return Arguments(request.query_params.multi_items(), body)


def parameters_of(body: bytes) -> dict[str, Any]:
    """The Parameters resource that a body is. Raises FhirError `invalid` for any other."""
    resource = parse_resource(body)
    if resource["resourceType"] != "Parameters":
        raise wrong_body(resource["resourceType"])
    return resource


def wrong_body(kind: str) -> FhirError:
    """What to say of a body of another type than Parameters."""
    return error(
        "invalid", f"The body of this operation is a Parameters resource, not {kind}.", kind
    )


Given = Annotated[Arguments, Depends(_arguments)]
