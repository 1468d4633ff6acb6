"""The index rows of values that `schemas.search_values` extracted."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from schemas.search_values import (
    CompositeValue,
    DateValue,
    IndexValue,
    NumberValue,
    PositionValue,
    QuantityValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    UriValue,
    normalized,
)
from storage.index import date, number, position, quantity, reference, string, token, uri
from storage.index.entries import BY_TYPE, Rows
from storage.index.probe import Intern

TEXT = ":text"

_ROW: dict[type[IndexValue], tuple[str, Any]] = {
    TokenValue: ("token", token.row),
    DateValue: ("date", date.row),
    StringValue: ("string", string.row),
    NumberValue: ("number", number.row),
    QuantityValue: ("quantity", quantity.row),
    ReferenceValue: ("reference", reference.row),
    UriValue: ("uri", uri.row),
    PositionValue: ("position", position.row),
}


def param_key(resource_type: str, param: str) -> str:
    """The text whose number is `p` in the entries of a parameter."""
    return f"{resource_type}?{param}"


def rows_of(resource_type: str, values: Iterable[Any], intern: Intern) -> Rows:
    """The index rows of a resource's values, each once; `intern` gives the number of a text."""
    found: dict[str, dict[tuple[Any, ...], None]] = {kind: {} for kind in BY_TYPE}
    words = found["string"]
    keys = _keys(resource_type)
    for value in values:
        param = value.param
        known = keys.get(param)
        if known is None:
            key = param_key(resource_type, param)
            known = keys[param] = key, key + TEXT
        if type(value) is CompositeValue:
            kind = "$".join(part.type for part in value.parts)
            found[kind][BY_TYPE[kind].row(intern(known[0]), value, intern)] = None
            continue
        kind, row = _ROW[type(value)]
        found[kind][row(intern(known[0]), value, intern)] = None
        if kind == "token" and value.text:
            folded = normalized(value.text)
            if folded:
                text = StringValue(param, value.text, folded)
                words[string.row(intern(known[1]), text, intern)] = None
    return {kind: list(distinct) for kind, distinct in found.items() if distinct}


@cache
def _keys(resource_type: str) -> dict[str, tuple[str, str]]:
    """The keys of the parameters that were met, and of their texts: names that FHIR defines."""
    return {}
