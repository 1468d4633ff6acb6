"""Token parameters: codes with their systems, booleans, identifiers, contact points.

https://hl7.org/fhir/R4/search.html#token. `p` is the parameter, `system` 0 where there is none.
Codes compare by case, as the systems do that have it (UCUM).
"""

from __future__ import annotations

from schemas.search_values import TokenValue
from schemas.value_converters import TYPE_SEPARATOR
from storage.index.condition import All, Compare
from storage.index.probe import Find, Intern, Probe
from storage.query.escapes import split, unescape

NAME = "token_index"
DDL = """
CREATE TABLE token_index (
  p INTEGER NOT NULL, code TEXT NOT NULL, v INTEGER NOT NULL, system INTEGER NOT NULL,
  PRIMARY KEY (p, code, v, system)
) WITHOUT ROWID
"""
INSERT = "INSERT INTO token_index (v, p, code, system) VALUES (?, ?, ?, ?)"
COLUMNS = "v, p, code, system"
VALUES = {"code": str, "system": int}

NO_SYSTEM = 0

_FORMS = "a token is code, system|code, |code or system|"


def row(p: int, value: TokenValue, intern: Intern) -> tuple[int, str, int]:
    """The row of a value, without `v`."""
    return p, value.code or "", intern(value.system) if value.system else NO_SYSTEM


def probes(p: int, text: str, find: Find, modifier: str = "") -> list[Probe]:
    """Rows for `code`, `system|code`, `|code` or `system|`; of identifiers by type (`of-type`).

    Raises ValueError for anything else.
    """
    if modifier == "of-type":
        return _of_type(p, text, find)
    parts = [unescape(part) for part in split(text, "|", 1)]
    if len(parts) == 1:
        if not parts[0]:
            raise ValueError(_FORMS)
        return [Probe("token", p, Compare("code", "=", parts[0]))]
    system, code = parts
    if not system and not code:
        raise ValueError(_FORMS)
    number = find(system) if system else NO_SYSTEM
    if number is None:
        return []
    if not code:
        # Not keyed by system, and words without a code have none: rare enough to scan.
        of_system = Compare("system", "=", number)
        return [Probe("token", p, of_system, by_version=False, seekable=False)]
    return [Probe("token", p, All((Compare("code", "=", code), Compare("system", "=", number))))]


def _of_type(p: int, text: str, find: Find) -> list[Probe]:
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) != 3 or not all(parts):
        raise ValueError("an identifier by its type is system|code|value, all three of them")
    system, code, value = parts
    number = find(system)
    if number is None:
        return []
    typed = Compare("code", "=", f"{code}{TYPE_SEPARATOR}{value}")
    return [Probe("token", p, All((typed, Compare("system", "=", number))))]


def present(p: int) -> Probe:
    """Rows of any value, for `:missing`."""
    return Probe("token", p, by_version=False, seekable=False)
