"""String parameters: begins with (case and accents folded), `:exact`, `:contains`.

https://hl7.org/fhir/R4/search.html#string. The `:text` of a token parameter `code` is the string
parameter `code:text`.
"""

from __future__ import annotations

from schemas.search_values import StringValue, normalized
from storage.index.condition import ANY_VALUE, All, Compare, Condition, Contains, Prefix
from storage.index.probe import Find, Intern, Probe
from storage.query.escapes import unescape

NAME = "string_index"
DDL = """
CREATE TABLE string_index (
  v INTEGER NOT NULL, p INTEGER NOT NULL, normalized TEXT NOT NULL, text TEXT NOT NULL,
  PRIMARY KEY (v, p, normalized, text)
) WITHOUT ROWID;
CREATE INDEX string_index_value ON string_index (p, normalized)
"""
INSERT = "INSERT INTO string_index (v, p, normalized, text) VALUES (?, ?, ?, ?)"
COLUMNS = "v, p, normalized, text"
VALUES = {"normalized": str, "text": str}


def row(p: int, value: StringValue, intern: Intern) -> tuple[int, str, str]:
    """The row of a value, without `v`. Text that is its own normal form is not kept twice."""
    return p, value.normalized, "" if value.text == value.normalized else value.text


def probes(p: int, text: str, find: Find, modifier: str = "") -> list[Probe]:
    """Rows that begin with, contain (`contains`) or are (`exact`) the text."""
    value = unescape(text)
    folded = normalized(value)
    if not folded and not (modifier == "exact" and value):
        raise ValueError("letters or digits are needed")
    if modifier == "exact":
        kept = "" if value == folded else value
        same = All((Compare("normalized", "=", folded), Compare("text", "=", kept)))
        return [_probe(p, same)]
    if modifier == "contains":
        return [_probe(p, Contains("normalized", folded), seekable=False)]
    return [_probe(p, Prefix("normalized", folded))]


def equal(p: int, word: str) -> Probe:
    """Rows of one folded word."""
    return _probe(p, Compare("normalized", "=", word))


def present(p: int) -> Probe:
    """Rows of any value, for `:missing`."""
    return _probe(p, ANY_VALUE, seekable=False)


def _probe(p: int, condition: Condition, *, seekable: bool = True) -> Probe:
    return Probe("string", p, condition, version_first=True, seekable=seekable)
