"""Which form of an answer a client wants: `Accept` and `_format` (R4 http.html#mime-type).

The forms are `json`, `xml`, and `html`, which is JSON laid out for reading.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

FORMS = ("json", "xml", "html")

_FORM_OF_TYPE = {
    "application/fhir+json": "json",
    "application/json": "json",
    "application/json+fhir": "json",
    "text/json": "json",
    "application/fhir+xml": "xml",
    "application/xml": "xml",
    "application/xml+fhir": "xml",
    "text/xml": "xml",
    "text/html": "html",
    "application/xhtml+xml": "html",
}
_WILDCARDS = {
    "*/*": FORMS,
    "*": FORMS,
    "application/*": ("json", "xml"),
    "text/*": ("json", "xml", "html"),
}
_FHIR_VERSIONS = frozenset({"4.0", "4.0.1"})


class _Range(NamedTuple):
    quality: float
    exact: bool
    forms: tuple[str, ...]


def form_of(text: str) -> str | None:
    """The form that a value of `_format` names; None for one that is not offered.

    A plus sign that came through an address unescaped is a space.
    """
    name, _, parameters = text.strip().lower().partition(";")
    name = name.strip().replace(" ", "+")
    if not _version_fits(parameters):
        return None
    return name if name in FORMS else _FORM_OF_TYPE.get(name)


@lru_cache(maxsize=1024)
def negotiated(accept: str) -> str | None:
    """The form that an `Accept` header prefers; None when it wants nothing that is offered.

    By quality, then exact types before wildcards, then as listed (RFC 9110 12.5.1). A missing or
    empty header, and a wildcard, mean JSON.
    """
    if not accept.strip():
        return "json"
    ranges = [_range(part) for part in accept.split(",") if part.strip()]
    refused = {form for one in ranges if one.quality == 0 and one.exact for form in one.forms}
    ranges.sort(key=lambda one: (-one.quality, not one.exact))
    for one in ranges:
        if one.quality > 0:
            for form in one.forms:
                if form not in refused:
                    return form
    return None


def _range(text: str) -> _Range:
    name, _, parameters = text.strip().lower().partition(";")
    name = name.strip()
    quality = 1.0
    for part in parameters.split(";"):
        key, _, value = part.strip().partition("=")
        if key.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                quality = 0.0
    if not _version_fits(parameters):
        return _Range(0.0, False, ())
    if name in _WILDCARDS:
        return _Range(quality, False, _WILDCARDS[name])
    form = _FORM_OF_TYPE.get(name)
    return _Range(quality, True, (form,) if form else ())


def _version_fits(parameters: str) -> bool:
    """R4 http.html#version-parameter: `fhirVersion=4.0` is the one spoken here."""
    for part in parameters.split(";"):
        key, _, value = part.strip().partition("=")
        if key.strip().lower() == "fhirversion" and value.strip().strip('"') not in _FHIR_VERSIONS:
            return False
    return True
