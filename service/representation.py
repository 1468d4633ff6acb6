"""What form and what part of a resource a client asked for, and how it is made.

`_format`, `_pretty`, `_summary`, `_elements` and `Accept` mean the same for every answer below the
FHIR base: a read, a page of a search or history, what an operation gives, an OperationOutcome.
`service.representing` applies them, in one place; a route has nothing to do but to keep these
parameters out of its own, and in the links of its pages.
https://hl7.org/fhir/R4/http.html#parameters, https://hl7.org/fhir/R4/search.html#summary
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from fastapi import Request
from starlette.types import Scope

from schemas.fhir_xml_serializer import to_xml
from schemas.outcomes import FhirError, error
from schemas.parse import canonical_bytes, parse_json
from schemas.structure import RESOURCE_TYPES
from schemas.summary import Elements, Keep, parse_elements, summary
from service.content_negotiation import form_of, negotiated

FHIR_JSON = "application/fhir+json; charset=utf-8"
FHIR_XML = "application/fhir+xml; charset=utf-8"

REPRESENTATION_PARAMETERS = frozenset({"_format", "_pretty", "_summary", "_elements"})
"""Parameters of every FHIR address that say nothing about which resources are meant."""

# Bundles that we make to carry resources. Any other Bundle is a resource that was asked for.
_CARRIERS = frozenset({"searchset", "history", "transaction-response", "batch-response"})
_SCOPE_KEY = "chartlake.representation"

Params = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Asked:
    """What was asked for. `parameters` are those given, for the links of pages."""

    form: str = "json"
    pretty: bool = False
    summary: str = "false"
    elements: Elements | None = None
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def is_plain(self) -> bool:
        """The stored bytes are the answer."""
        return self.form == "json" and not self.pretty and not self.is_part

    @property
    def is_part(self) -> bool:
        """Only parts of the resources are wanted."""
        return self.elements is not None or self.summary in ("true", "text", "data")

    @property
    def is_count(self) -> bool:
        """`_summary=count`: a search answers its total, and no entries."""
        return self.summary == "count"

    @property
    def media_type(self) -> str:
        """The `Content-Type` of the answer."""
        return FHIR_XML if self.form == "xml" else FHIR_JSON


PLAIN = Asked()


def asked(params: Params, accept: str = "", target: Target | None = None) -> Asked:
    """What the parameters of an address, and `Accept`, ask for; `_format` wins.

    Raises FhirError: `not-acceptable` for a form that is not offered, `value` and `invalid` for
    parameters that make no sense, `not-supported` for those that do not apply at this address.
    """
    given = _given(params)
    if not given:
        form = negotiated(accept)
        if form == "json":
            return PLAIN
    else:
        form = form_of(given["_format"]) if "_format" in given else negotiated(accept)
    if form is None:
        place = "_format" if "_format" in given else "http.Accept"
        raise error(
            "not-acceptable",
            "This service speaks application/fhir+json and application/fhir+xml of FHIR 4.0.",
            place,
        )
    target = target or Target()
    pretty = given.get("_pretty", "false").lower()
    if pretty not in ("true", "false"):
        raise error("value", "_pretty is true or false.", "_pretty")
    kind = given.get("_summary", "false")
    summary(kind)
    if kind == "count" and not target.is_search:
        raise error("not-supported", "_summary=count is for searches only.", "_summary")
    if kind == "text":
        _refuse_includes(params)
    elements = None
    if "_elements" in given:
        if kind != "false":
            text = "_summary and _elements are two answers to one question; send one of them."
            raise error("invalid", text, "_elements", "_summary")
        elements = parse_elements(given["_elements"], target.resource_type)
    return Asked(
        form="json" if form == "html" else form,
        pretty=pretty == "true" or (form == "html" and "_pretty" not in given),
        summary=kind,
        elements=elements,
        parameters=tuple(given.items()),
    )


@dataclass(frozen=True)
class Target:
    """What an address below the FHIR base means for the form of its answer.

    `is_resource`: one resource, which may itself be a Bundle; `resource_type` the type of what is
    asked for, where the address tells.
    """

    resource_type: str | None = None
    is_search: bool = False
    is_resource: bool = False
    is_operation: bool = False

    @classmethod
    def of(cls, method: str, parts: Sequence[str]) -> Target:
        """The target of a request; `parts` of the path are those below the FHIR base."""
        operation = any(part.startswith("$") for part in parts)
        kind = parts[0] if parts and parts[0] in RESOURCE_TYPES else None
        if operation:
            return cls(is_operation=True)
        read = method in ("GET", "HEAD")
        if parts and parts[-1] == "_search":
            return cls(kind if len(parts) == 2 else _compartment_type(parts), is_search=True)
        if read and (not parts or (len(parts) == 1 and parts[0] == kind)):
            return cls(kind, is_search=True)
        if read and len(parts) == 3 and parts[-1] != "_history":
            return cls(_compartment_type(parts), is_search=True)
        history = bool(parts) and parts[-1] == "_history"
        single = kind is not None and not history and len(parts) in ((2, 4) if read else (1, 2))
        return cls(kind, is_resource=single)


def _compartment_type(parts: Sequence[str]) -> str | None:
    return parts[2] if len(parts) > 2 and parts[2] in RESOURCE_TYPES else None


def _given(params: Params) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in params:
        if name in REPRESENTATION_PARAMETERS and found.setdefault(name, value) != value:
            raise error("invalid", f"{name} is given twice, with different values.", name)
    return found


def _refuse_includes(params: Params) -> None:
    for name, _ in params:
        if name.partition(":")[0] in ("_include", "_revinclude"):
            raise error(
                "invalid",
                f"_summary=text cannot be combined with {name[:64]} (R4 search.html#summary).",
                "_summary",
            )


class Holder:
    """What is known of a request's `Asked` while it is dealt with; a form may add to it."""

    def __init__(self, wanted: Asked, accept: str, target: Target, *, nested: bool = False) -> None:
        """`nested`: the answer is for an entry of a Bundle, which has the form of the Bundle."""
        self._accept = accept
        self._target = target
        self.nested = nested
        self.asked = self._in_its_place(wanted)

    def take(self, params: Params) -> None:
        """Take the parameters of the address and of a form body. Raises FhirError, see `asked`."""
        self.asked = self._in_its_place(asked(params, self._accept, self._target))

    def _in_its_place(self, wanted: Asked) -> Asked:
        return replace(wanted, form="json", pretty=False) if self.nested else wanted

    def put(self, scope: Scope) -> None:
        """Make it known to the routes."""
        scope[_SCOPE_KEY] = self

    def bytes_of(self, body: bytes, *, failed: bool = False) -> bytes:
        """The answer `body` (FHIR JSON) in the form that is asked for; a failure is told whole."""
        wanted = replace(self.asked, summary="false", elements=None) if failed else self.asked
        return represent(body, wanted, self._target)


def holder_of(request: Request) -> Holder:
    """What a request asks for, as the middleware found it."""
    found = request.scope.get(_SCOPE_KEY)
    return found if isinstance(found, Holder) else Holder(PLAIN, "", Target())


def represent(body: bytes, wanted: Asked, target: Target) -> bytes:
    """FHIR JSON `body` as it was asked for: the part, then the form.

    Raises FhirError `not-acceptable` for what XML cannot say, `not-supported` where an operation
    answers Parameters, which have no parts.
    """
    if wanted.is_part or wanted.form == "xml":
        resource = parse_json(body)
        if wanted.is_part:
            resource = part_of(resource, wanted, target)
        if wanted.form == "xml":
            return to_xml(resource, pretty=wanted.pretty)
        body = canonical_bytes(resource)
    return msgspec.json.format(body, indent=2) if wanted.pretty else body


def part_of(resource: dict[str, Any], wanted: Asked, target: Target) -> dict[str, Any]:
    """The part of a resource, or of each that a Bundle of ours carries."""
    kind = resource.get("resourceType")
    if kind == "OperationOutcome" != target.resource_type:
        return resource
    if kind == "Parameters" and target.is_operation:
        name = "_summary" if wanted.elements is None else "_elements"
        raise error("not-supported", f"{name} does not apply to what this operation answers.", name)
    if kind == "Bundle" and resource.get("type") in _CARRIERS and not target.is_resource:
        entries = [_entry(entry, wanted) for entry in resource.get("entry", ())]
        return {**resource, "entry": entries} if entries else resource
    return _keep(wanted)(resource)


def _entry(entry: dict[str, Any], wanted: Asked) -> dict[str, Any]:
    resource = entry.get("resource")
    mode = entry.get("search", {}).get("mode")
    if resource is None or mode == "outcome" or resource["resourceType"] == "OperationOutcome":
        return entry
    if wanted.elements is not None:
        part = wanted.elements.keep(resource, included=mode == "include")
    else:
        part = _keep(wanted)(resource)
    return {**entry, "resource": part}


def _keep(wanted: Asked) -> Callable[[dict[str, Any]], dict[str, Any]]:
    if wanted.elements is not None:
        return wanted.elements.keep
    keep: Keep | None = summary(wanted.summary)
    return keep or (lambda resource: resource)


def refusal_form(params: Params, accept: str) -> Asked:
    """The form in which to refuse a request whose wishes are the failure."""
    try:
        plain: Mapping[str, str] = _given(params)
    except FhirError:
        plain = {}
    form = form_of(plain["_format"]) if "_format" in plain else negotiated(accept)
    return Asked(form="xml") if form == "xml" else PLAIN
