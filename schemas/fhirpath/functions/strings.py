"""Functions of Strings. http://hl7.org/fhirpath/N1/#string-manipulation"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Callable

from schemas.fhirpath.arithmetic import checked_text
from schemas.fhirpath.errors import FhirPathError
from schemas.fhirpath.functions.signature import Function
from schemas.fhirpath.patterns import pattern, substitution
from schemas.fhirpath.run import Run, Step, checked
from schemas.fhirpath.values import Items, integer, text

Result = str | int | bool

# Surrogates of a pair together, so that they become one character.
_JSON_ESCAPE = re.compile(r"(?:\\u[0-9A-Fa-f]{4})+|\\.", re.DOTALL)


def _of_one(name: str, compute: Callable[[str], Result]) -> Function:
    def apply(run: Run, items: Items, focus: Items) -> Items:
        value = text(items, name)
        if value is None:
            return []
        run.spend(len(value) >> 10)
        return [compute(value)]

    return Function(apply)


def _of_two(name: str, compute: Callable[[str, str], Result]) -> Function:
    def apply(run: Run, items: Items, focus: Items, argument: Step) -> Items:
        value, other = text(items, name), text(argument(run, focus), name)
        if value is None or other is None:
            return []
        run.spend(len(value) >> 10)
        return [compute(value, other)]

    return Function(apply, 1, 1)


def _substring(
    run: Run, items: Items, focus: Items, start: Step, length: Step | None = None
) -> Items:
    value = text(items, "substring()")
    begin = integer(start(run, focus), "substring()")
    if value is None or begin is None or not 0 <= begin < len(value):
        return []
    size = None if length is None else integer(length(run, focus), "substring()")
    return [value[begin:] if size is None else value[begin : begin + max(0, size)]]


def _replace(run: Run, items: Items, focus: Items, wanted: Step, new: Step) -> Items:
    value = text(items, "replace()")
    old, other = text(wanted(run, focus), "replace()"), text(new(run, focus), "replace()")
    if value is None or old is None or other is None:
        return []
    times = value.count(old) if old else len(value) + 1
    checked_text(" " * min(len(value) + times * len(other), 2**21))
    return [value.replace(old, other)]


def _matching(name: str, *, full: bool) -> Function:
    def apply(
        run: Run, items: Items, focus: Items, regex: Step, flags: Step | None = None
    ) -> Items:
        value, wanted = text(items, name), text(regex(run, focus), name)
        marks = None if flags is None else text(flags(run, focus), name)
        if value is None or wanted is None:
            return []
        matcher = pattern(wanted, marks or "", full=full)
        run.spend(matcher.work(value))
        return [matcher.found(value)]

    return Function(apply, 1, 2)


def _replace_matches(
    run: Run, items: Items, focus: Items, regex: Step, new: Step, flags: Step | None = None
) -> Items:
    name = "replaceMatches()"
    value, wanted = text(items, name), text(regex(run, focus), name)
    other = text(new(run, focus), name)
    marks = None if flags is None else text(flags(run, focus), name)
    if value is None or wanted is None or other is None:
        return []
    if not wanted:
        return [value]
    matcher = pattern(wanted, marks or "", full=False)
    run.spend(matcher.work(value))
    return [matcher.replaced(value, substitution(other))]


def _to_chars(run: Run, items: Items, focus: Items) -> Items:
    value = text(items, "toChars()")
    return [] if value is None else checked(list(value))


def _split(run: Run, items: Items, focus: Items, separator: Step) -> Items:
    value, at = text(items, "split()"), text(separator(run, focus), "split()")
    if value is None:
        return []
    if not at:
        return [value] if at is None else checked(list(value))
    return checked([*value.split(at)])


def _join(run: Run, items: Items, focus: Items, separator: Step | None = None) -> Items:
    between = "" if separator is None else text(separator(run, focus), "join()") or ""
    found = [text([item], "join()") for item in items]
    if not items:
        return []
    known = [one for one in found if one is not None]
    size = sum(map(len, known)) + len(between) * len(known)
    checked_text(" " * min(size, 2**21))
    return [between.join(known)]


def _coded(name: str, table: dict[str, Callable[[str], str | None]]) -> Function:
    def apply(run: Run, items: Items, focus: Items, format_name: Step) -> Items:
        value, wanted = text(items, name), text(format_name(run, focus), name)
        if value is None or wanted is None:
            return []
        if wanted not in table:
            known = ", ".join(table)
            raise FhirPathError(f"{name} knows {known}, and nothing else.")
        found = table[wanted](value)
        return [] if found is None else [checked_text(found)]

    return Function(apply, 1, 1)


def _decoded(decode: Callable[[str], bytes]) -> Callable[[str], str | None]:
    def apply(value: str) -> str | None:
        try:
            return decode(value).decode("utf-8")
        except (binascii.Error, ValueError):
            return None

    return apply


def _unescape_json(value: str) -> str | None:
    """Escapes of JSON resolved; everything else, bare quotes too, stays as it is."""
    try:
        return _JSON_ESCAPE.sub(lambda match: str(json.loads(f'"{match[0]}"')), value)
    except ValueError:
        return None


_ENCODERS: dict[str, Callable[[str], str | None]] = {
    "hex": lambda value: value.encode().hex(),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "urlbase64": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "ascii": lambda value: value.encode("ascii", "replace").decode(),
}
_DECODERS: dict[str, Callable[[str], str | None]] = {
    "hex": _decoded(bytes.fromhex),
    "base64": _decoded(lambda value: base64.b64decode(value, validate=True)),
    "urlbase64": _decoded(lambda value: base64.b64decode(value, altchars=b"-_", validate=True)),
}
_ESCAPERS: dict[str, Callable[[str], str | None]] = {
    "html": lambda value: html.escape(value),
    "json": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
}
_UNESCAPERS: dict[str, Callable[[str], str | None]] = {
    "html": html.unescape,
    "json": _unescape_json,
}

FUNCTIONS = {
    "indexOf": _of_two("indexOf()", lambda value, other: value.find(other)),
    "lastIndexOf": _of_two("lastIndexOf()", lambda value, other: value.rfind(other)),
    "substring": Function(_substring, 1, 2),
    "startsWith": _of_two("startsWith()", lambda value, other: value.startswith(other)),
    "endsWith": _of_two("endsWith()", lambda value, other: value.endswith(other)),
    "contains": _of_two("contains()", lambda value, other: other in value),
    "upper": _of_one("upper()", str.upper),
    "lower": _of_one("lower()", str.lower),
    "replace": Function(_replace, 2, 2),
    "matches": _matching("matches()", full=False),
    "matchesFull": _matching("matchesFull()", full=True),
    "replaceMatches": Function(_replace_matches, 2, 3),
    "length": _of_one("length()", len),
    "toChars": Function(_to_chars),
    "trim": _of_one("trim()", lambda value: value.strip(" \t\r\n\f\v")),
    "split": Function(_split, 1, 1),
    "join": Function(_join, 0, 1),
    "encode": _coded("encode()", _ENCODERS),
    "decode": _coded("decode()", _DECODERS),
    "escape": _coded("escape()", _ESCAPERS),
    "unescape": _coded("unescape()", _UNESCAPERS),
}
