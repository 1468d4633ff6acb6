"""Does an audit event meet a search criterion? The search index's rules, on values in memory.

https://hl7.org/fhir/R4/search.html. The rules of `storage.index`, which has rows of resources only,
are repeated here for the kinds of parameters that AuditEvent has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from schemas.ids import is_id, parse_reference
from schemas.search_values import (
    DateValue,
    IndexValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    UriValue,
    normalized,
)
from schemas.structure import RESOURCE_TYPES
from schemas.value_converters import OF_TYPE
from storage.index import TEXT, date, token, uri
from storage.query.criterion import Criterion, bad_value
from storage.query.escapes import split, unescape
from storage.query.special_values import Clause, word_clauses

Meets = Callable[[Any], bool]
"""Of one value of the criterion's parameter."""


def value_param(criterion: Criterion) -> str:
    """The parameter whose values a criterion looks at."""
    return criterion.param.removesuffix(TEXT).removesuffix(":identifier").removesuffix(OF_TYPE)


def matcher(criterion: Criterion) -> Callable[[Sequence[IndexValue]], bool]:
    """Whether the values of `value_param` meet the criterion. Raises FhirError for bad ones."""
    if criterion.modifier == "missing":
        wanted = criterion.values == ("false",)
        return lambda values: bool(values) == wanted
    try:
        if criterion.kind == "words":
            return _narrative(word_clauses(criterion.values))
        tests = [_test(criterion, text) for text in criterion.values]
    except ValueError as failure:
        raise bad_value(criterion.given, str(failure)) from None

    def meets(values: Sequence[IndexValue]) -> bool:
        return any(test(value) for value in values for test in tests)

    if criterion.modifier == "not":
        return lambda values: not meets(values)
    return meets


def _narrative(clauses: Sequence[Clause]) -> Callable[[Sequence[IndexValue]], bool]:
    def meets(values: Sequence[IndexValue]) -> bool:
        there = {value.normalized for value in values if isinstance(value, StringValue)}
        return all(there.isdisjoint(words) == unwanted for words, unwanted in clauses)

    return meets


def _test(criterion: Criterion, text: str) -> Meets:
    if criterion.param.endswith(TEXT):
        return _words(text, criterion.modifier)
    if criterion.modifier == "of-type":
        token.probes(0, text, lambda _text: None, "of-type")  # Raises ValueError.
        return lambda _value: False  # Events of the log have no identifiers with a type.
    test = {
        "token": lambda: _token(text, criterion.param),
        "string": lambda: _string(text, criterion.modifier),
        "reference": lambda: _reference(text, criterion.modifier),
        "date": lambda: _date(text),
        "uri": lambda: _uri(text, criterion.modifier),
    }
    return test[criterion.kind]()


def _token(text: str, param: str) -> Meets:
    token.probes(0, text, lambda _text: None)  # Raises ValueError for what is no token.
    parts = [unescape(part) for part in split(text, "|", 1)]
    code, system = parts[-1], parts[0] if len(parts) == 2 else None

    def meets(value: Any) -> bool:
        return (
            isinstance(value, TokenValue)
            and value.param == param
            and (not code or value.code == code)
            and (system is None or (value.system or "") == system)
        )

    return meets


def _string(text: str, modifier: str) -> Meets:
    compare = _text(text, modifier)
    return lambda value: isinstance(value, StringValue) and compare(value.text, value.normalized)


def _words(text: str, modifier: str) -> Meets:
    """`:text` of a token."""
    compare = _text(text, modifier)
    return lambda value: (
        isinstance(value, TokenValue)
        and bool(value.text)
        and compare(value.text or "", normalized(value.text or ""))
    )


def _text(text: str, modifier: str) -> Callable[[str, str], bool]:
    value = unescape(text)
    folded = normalized(value)
    if not folded:
        raise ValueError("some text is needed")
    if modifier == "exact":
        return lambda given, _folded: given == value
    if modifier == "contains":
        return lambda _given, other: folded in other
    return lambda _given, other: other.startswith(folded)


def reference_of(text: str, modifier: str) -> tuple[str | None, str | None, str]:
    """Type and id of a searched reference, or (None, None, URL). Raises ValueError."""
    value = unescape(text)
    wanted = modifier or None
    if is_id(value):
        return wanted, value, ""
    parsed = parse_reference(value)
    if parsed.kind == "relative" and parsed.id is not None:
        if wanted is not None and parsed.resource_type != wanted:
            raise ValueError(f"the modifier says {wanted}, the value another type")
        if parsed.resource_type not in RESOURCE_TYPES:
            raise ValueError("the type named is not a resource type of R4")
        return parsed.resource_type, parsed.id, ""
    if parsed.kind not in ("absolute", "urn"):
        raise ValueError("a reference is an id, Type/id or a URL")
    return None, None, value


def _reference(text: str, modifier: str) -> Meets:
    resource_type, id, url = reference_of(text, modifier)

    def meets(value: Any) -> bool:
        if not isinstance(value, ReferenceValue):
            return False
        if url:
            return value.url is not None and (value.url == url or value.url.startswith(url + "|"))
        # A bare id may be the whole of another kind of reference, as in the index.
        return (value.url or value.id) == id and resource_type in (None, value.resource_type)

    return meets


def _date(text: str) -> Meets:
    prefix, low, high = date.bounds(text)
    compare: dict[str, Callable[[int, int], bool]] = {
        "eq": lambda a, b: a >= low and b <= high and b > low,
        "ne": lambda a, b: a < low or b > high,
        "gt": lambda a, b: b > high,
        "lt": lambda a, b: a < low,
        "ge": lambda a, b: b > low,
        "le": lambda a, b: a < high,
        "sa": lambda a, b: a >= high and b > high,
        "eb": lambda a, b: b <= low,
        "ap": lambda a, b: a < high and b > low,
    }
    test = compare[prefix]
    return lambda value: isinstance(value, DateValue) and test(value.low_us, value.high_us)


def _uri(text: str, modifier: str) -> Meets:
    uri.probes(0, text, lambda _text: None, modifier)  # Raises ValueError for what is no URI.
    value = unescape(text)

    def meets(found: Any) -> bool:
        if not isinstance(found, UriValue):
            return False
        if modifier == "above":
            return value == found.uri or value.startswith(found.uri.rstrip("/") + "/")
        below = value if value.endswith(("/", ":")) else value + "/"
        return (
            found.uri == value
            or found.uri.startswith(value + "|")
            or (modifier == "below" and found.uri.startswith(below))
        )

    return meets
