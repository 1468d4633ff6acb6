"""URI parameters, compared character by character; `:below` and `:above` by path.

https://hl7.org/fhir/R4/search.html#uri
"""

from __future__ import annotations

from schemas.search_values import UriValue
from storage.index.condition import Compare, Prefix
from storage.index.probe import Find, Intern, Probe
from storage.query.escapes import unescape

NAME = "uri_index"
DDL = """
CREATE TABLE uri_index (
  p INTEGER NOT NULL, uri TEXT NOT NULL, v INTEGER NOT NULL,
  PRIMARY KEY (p, uri, v)
) WITHOUT ROWID
"""
INSERT = "INSERT INTO uri_index (v, p, uri) VALUES (?, ?, ?)"
COLUMNS = "v, p, uri"
VALUES = {"uri": str}


def row(p: int, value: UriValue, intern: Intern) -> tuple[int, str]:
    """The row of a value, without `v`."""
    return p, value.uri


def probes(p: int, text: str, find: Find, modifier: str = "") -> list[Probe]:
    """Rows for a URI: itself (with any `|version` when none is given), below it, or above it."""
    value = unescape(text)
    if not value:
        raise ValueError("a URI is needed")
    if modifier == "above":
        return [_equal(p, uri) for uri in _above(value)]
    found = [_equal(p, value), _prefix(p, value + "|")]
    if modifier == "below":
        found.append(_prefix(p, value if value.endswith(("/", ":")) else value + "/"))
    return found


def present(p: int) -> Probe:
    """Rows of any value, for `:missing`."""
    return Probe("uri", p, by_version=False, seekable=False)


def _equal(p: int, uri: str) -> Probe:
    return Probe("uri", p, Compare("uri", "=", uri))


def _prefix(p: int, text: str) -> Probe:
    return Probe("uri", p, Prefix("uri", text), by_version=False)


def _above(uri: str) -> list[str]:
    """The URI and each shorter one along its path, with and without the slash at the end."""
    found = [uri]
    start = uri.find("://") + 3 if "://" in uri else 0
    position = len(uri)
    while (position := uri.rfind("/", start, position)) > start:
        found += [uri[: position + 1], uri[:position]]
    return list(dict.fromkeys(found))
