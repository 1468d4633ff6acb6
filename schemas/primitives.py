"""Whether a JSON value is a value of a FHIR primitive type.

Each check returns what is wrong, in words that never repeat the value, or None.
https://hl7.org/fhir/R4/datatypes.html#primitive
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from schemas.dates import date_range

Check = Callable[[Any], str | None]

# https://hl7.org/fhir/R4/datatypes.html#string: at most 1 MB of characters.
MAX_STRING_CHARACTERS = 1024 * 1024

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_CODE = re.compile(r"\S+(?:\s\S+)*")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_OID = re.compile(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+")
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.I)
_YEAR = "[0-9]{4}"
_ZONE = r"(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_DATE = re.compile(rf"{_YEAR}(?:-[0-9]{{2}}(?:-[0-9]{{2}})?)?")
_DATE_TIME = re.compile(
    rf"{_YEAR}(?:-[0-9]{{2}}(?:-[0-9]{{2}}(?:T{_CLOCK}{_ZONE})?)?)?"
)  # fmt: skip
_INSTANT = re.compile(rf"{_YEAR}-[0-9]{{2}}-[0-9]{{2}}T{_CLOCK}{_ZONE}")
_TIME = re.compile(_CLOCK)
_BASE64 = re.compile(r"[0-9A-Za-z+/]*={0,2}")
_WHITE = re.compile(r"\s+")

_DATE_FORM = "YYYY, YYYY-MM or YYYY-MM-DD"
_DATE_TIME_FORM = f"{_DATE_FORM}, or YYYY-MM-DDThh:mm:ss with a zone (Z or +hh:mm)"


def json_kind(value: Any) -> str:
    """What JSON calls the value, with an article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, Decimal, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"


def _of_text(check: Check) -> Check:
    def checked(value: Any) -> str | None:
        if type(value) is not str:
            return f"must be a JSON string, not {json_kind(value)}"
        return check(value)

    _OF_TEXT[checked] = check
    return checked


_OF_TEXT: dict[Check, Check] = {}


def text_check(check: Check) -> Check | None:
    """What a check of a primitive does with a text, where it takes nothing else; else None.

    Most values of a resource are texts: one call less for each.
    """
    return _OF_TEXT.get(check)


def _string(value: Any) -> str | None:
    if type(value) is not str:
        return f"must be a JSON string, not {json_kind(value)}"
    if not value:
        return "must not be empty; leave the element out instead"
    if not value.isprintable() and (found := _CONTROL.search(value)) is not None:
        return f"holds the control character U+{ord(found[0]):04X}, which FHIR text must not"
    if len(value) > MAX_STRING_CHARACTERS:
        return f"is longer than the {MAX_STRING_CHARACTERS:,} characters that FHIR allows"
    return None


def _matching(pattern: re.Pattern[str], problem: str) -> Check:
    @lru_cache(maxsize=32_768)
    def check(value: str) -> str | None:
        return None if pattern.fullmatch(value) is not None else problem

    return _of_text(check)


def _calendar(pattern: re.Pattern[str], problem: str) -> Check:
    @lru_cache(maxsize=65_536)
    def check(value: str) -> str | None:
        if pattern.fullmatch(value) is None:
            return problem
        try:
            date_range(value)
        except ValueError:
            return f"{problem}; the calendar has no such day"
        return None

    return _of_text(check)


@lru_cache(maxsize=65_536)
def _uri_text(value: str) -> str | None:
    if not value:
        return "must not be empty; leave the element out instead"
    if _WHITE.search(value) or _CONTROL.search(value):
        return "is not a URI: it holds white space or a control character"
    return None


_uri = _of_text(_uri_text)


def _boolean(value: Any) -> str | None:
    if type(value) is bool:
        return None
    return f"must be true or false (a JSON boolean), not {json_kind(value)}"


def _decimal(value: Any) -> str | None:
    if type(value) is Decimal or type(value) is int:
        return None
    return f"must be a JSON number, not {json_kind(value)}"


def _whole(least: int, name: str) -> Check:
    def check(value: Any) -> str | None:
        if type(value) is not int:
            kind = "one with a fraction or exponent" if type(value) is Decimal else json_kind(value)
            return f"must be a whole JSON number, not {kind}"
        if not least <= value < 2**31:
            return f"is out of the range of {name}: {least} to {2**31 - 1}"
        return None

    return check


def _base64(value: str) -> str | None:
    text = value if value.isascii() and value.isalnum() else _WHITE.sub("", value)
    if not text:
        return "must not be empty; leave the element out instead"
    if len(text) % 4 or _BASE64.fullmatch(text) is None:
        return "is not base64 (A-Z a-z 0-9 + / in groups of four, padded with =)"
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return "is not base64 (its padding is wrong)"
    return None


def _xhtml(value: str) -> str | None:
    if not value.lstrip().startswith("<div"):
        return "must be XHTML: one <div> element in the XHTML namespace"
    if (found := _CONTROL.search(value)) is not None:
        return f"holds the control character U+{ord(found[0]):04X}, which FHIR text must not"
    return None


CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "base64Binary": _of_text(_base64),
        "boolean": _boolean,
        "canonical": _uri,
        "code": _matching(
            _CODE, "is not a code: not empty, no white space around it, single spaces inside"
        ),
        "date": _calendar(_DATE, f"is not a FHIR date ({_DATE_FORM})"),
        "dateTime": _calendar(_DATE_TIME, f"is not a FHIR dateTime ({_DATE_TIME_FORM})"),
        "decimal": _decimal,
        "id": _matching(_ID, "is not an id: 1 to 64 letters, digits, hyphens and dots"),
        "instant": _calendar(
            _INSTANT, "is not a FHIR instant (YYYY-MM-DDThh:mm:ss with a zone, Z or +hh:mm)"
        ),
        "integer": _whole(-(2**31), "an integer"),
        "markdown": _string,
        "oid": _matching(_OID, "is not an OID (urn:oid:1.2.3)"),
        "positiveInt": _whole(1, "a positiveInt"),
        "string": _string,
        "time": _matching(_TIME, "is not a time (hh:mm:ss)"),
        "unsignedInt": _whole(0, "an unsignedInt"),
        "uri": _uri,
        "url": _uri,
        "uuid": _matching(_UUID, "is not a UUID (urn:uuid:…, in hexadecimal)"),
        "xhtml": _of_text(_xhtml),
    }
)
"""Primitive type → its check."""
