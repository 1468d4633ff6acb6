"""String parameters: begins with (case and accents folded), `:exact`, `:contains`.

https://hl7.org/fhir/R4/search.html#string. The `:text` of a token parameter `code` is the string
parameter `code:text`.
"""

from __future__ import annotations

from typing import Any

from schemas.search_values import StringValue, normalized
from storage.index.probe import Find, Intern, Probe, escape_like, prefix_condition
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


def row(p: int, value: StringValue, intern: Intern) -> tuple[int, str, str]:
    """The row of a value, without `v`. Text that is its own normal form is not kept twice."""
    return p, value.normalized, "" if value.text == value.normalized else value.text


def probes(p: int, text: str, find: Find, modifier: str = "") -> list[Probe]:
    """Rows that begin with, contain (`contains`) or are (`exact`) the text."""
    value = unescape(text)
    folded = normalized(value)
    if not folded:
        raise ValueError("some text is needed")
    if modifier == "exact":
        kept = "" if value == folded else value
        return [_probe("p = ? AND normalized = ? AND text = ?", (p, folded, kept))]
    if modifier == "contains":
        pattern = f"%{escape_like(folded)}%"
        return [_probe("p = ? AND normalized LIKE ? ESCAPE '\\'", (p, pattern), seekable=False)]
    where, args = prefix_condition("normalized", folded)
    return [_probe(f"p = ? AND {where}", (p, *args))]


def present(p: int) -> Probe:
    """Rows of any value, for `:missing`."""
    return _probe("p = ?", (p,), seekable=False)


def _probe(where: str, args: tuple[Any, ...], *, seekable: bool = True) -> Probe:
    return Probe(NAME, where, args, version_first=True, seekable=seekable)
