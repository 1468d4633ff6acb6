"""Reference parameters: by type and id, or by URL for what lies elsewhere.

https://hl7.org/fhir/R4/search.html#reference. `target` is the id of a relative reference, or the
whole text of another one (a URL, `#id`); `type` is 0 where the reference does not say it.
"""

from __future__ import annotations

from schemas.ids import is_id, parse_reference
from schemas.search_values import ReferenceValue
from schemas.structure import RESOURCE_TYPES
from storage.index.condition import All, Compare, Prefix
from storage.index.probe import Find, Intern, Probe
from storage.query.escapes import unescape

NAME = "reference_index"
DDL = """
CREATE TABLE reference_index (
  p INTEGER NOT NULL, target TEXT NOT NULL, v INTEGER NOT NULL, type INTEGER NOT NULL,
  PRIMARY KEY (p, target, v, type)
) WITHOUT ROWID
"""
INSERT = "INSERT INTO reference_index (v, p, target, type) VALUES (?, ?, ?, ?)"
COLUMNS = "v, p, target, type"
VALUES = {"target": str, "type": int}

ANY_TYPE = 0


def row(p: int, value: ReferenceValue, intern: Intern) -> tuple[int, str, int]:
    """The row of a value, without `v`."""
    target = value.url or value.id or ""
    return p, target, intern(value.resource_type) if value.resource_type else ANY_TYPE


def probes(
    p: int, text: str, find: Find, resource_type: str | None = None, modifier: str = ""
) -> list[Probe]:
    """Rows for `id`, `Type/id`, or a URL (with any `|version` when none is given).

    `resource_type` is that of a modifier (`subject:Patient`); `below` and `above` are of the
    version of a canonical. Raises ValueError for anything else.
    """
    value = unescape(text)
    if modifier:
        return _by_version(p, value, modifier)
    if is_id(value):
        return _local(p, value, resource_type, find)
    parsed = parse_reference(value)
    if parsed.kind == "relative" and parsed.id is not None:
        if resource_type is not None and parsed.resource_type != resource_type:
            raise ValueError(f"the modifier says {resource_type}, the value another type")
        return _local(p, parsed.id, parsed.resource_type, find)
    if parsed.kind not in ("absolute", "urn"):
        raise ValueError("a reference is an id, Type/id or a URL")
    return [
        Probe("reference", p, Compare("target", "=", value)),
        Probe("reference", p, Prefix("target", value + "|"), by_version=False),
    ]


def _by_version(p: int, value: str, modifier: str) -> list[Probe]:
    """A canonical of a version, and of those below it (1.2: 1.2.x) or above (1.2.3: 1.2, 1)."""
    url, _, version = value.partition("|")
    if not version or parse_reference(url).kind not in ("absolute", "urn"):
        raise ValueError("a canonical with its version is needed: URL|version")
    if modifier == "below":
        return [
            Probe("reference", p, Compare("target", "=", value)),
            Probe("reference", p, Prefix("target", value + "."), by_version=False),
        ]
    parts = version.split(".")
    shorter = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return [Probe("reference", p, Compare("target", "=", f"{url}|{one}")) for one in shorter]


def present(p: int) -> Probe:
    """Rows of any value, for `:missing`."""
    return Probe("reference", p, by_version=False, seekable=False)


def _local(p: int, id: str, resource_type: str | None, find: Find) -> list[Probe]:
    if resource_type is None:
        return [Probe("reference", p, Compare("target", "=", id))]
    if resource_type not in RESOURCE_TYPES:
        raise ValueError("the type named is not a resource type of R4")
    number = find(resource_type)
    if number is None:
        return []
    local = All((Compare("target", "=", id), Compare("type", "=", number)))
    return [Probe("reference", p, local)]
