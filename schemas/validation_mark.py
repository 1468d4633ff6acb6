"""The mark of a resource that was stored although it is not valid: a tag in `meta.tag`.

It is the server's own: set when a resource is stored invalid (validation level `minimal`), taken
off when a valid version is stored, whatever a client sends. Found by
`GET /fhir/Patient?_tag=https://chartlake.org/fhir/CodeSystem/validation|invalid`.
"""

from __future__ import annotations

from typing import Any

from schemas.codes import VALIDATION_SYSTEM
from schemas.outcomes import error
from schemas.parse import canonical_bytes

INVALID_TAG: dict[str, str] = {
    "system": VALIDATION_SYSTEM,
    "code": "invalid",
    "display": "Stored although it is not valid",
}

MARK_BYTES = canonical_bytes(INVALID_TAG)
"""The mark as it stands in the bytes of a stored resource, and nowhere else in them: within a
string its quotes are escaped."""


def is_marked(resource: dict[str, Any]) -> bool:
    """Whether the resource carries the mark."""
    meta = resource.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    return isinstance(tags, list) and any(_is_mark(tag) for tag in tags)


def mark(resource: dict[str, Any]) -> None:
    """Set the mark; `meta` is replaced, not changed.

    Raises FhirError (`unprocessable`) where `meta` is such that it has no room for a tag.
    """
    meta = resource.get("meta", {})
    tags = meta.get("tag", []) if isinstance(meta, dict) else None
    if not isinstance(tags, list):
        place = f"{resource['resourceType']}.meta"
        raise error(
            "unprocessable",
            "An invalid resource is stored with a tag in meta.tag, and this meta has no room for "
            "one: meta is an object, and meta.tag an array.",
            place,
        )
    others = [tag for tag in tags if not _is_mark(tag)]
    resource["meta"] = {**meta, "tag": [*others, dict(INVALID_TAG)]}


def unmark(resource: dict[str, Any]) -> None:
    """Take the mark off; `meta` is replaced, not changed."""
    if not is_marked(resource):
        return
    meta = dict(resource["meta"])
    tags = [tag for tag in meta.pop("tag") if not _is_mark(tag)]
    if tags:
        meta["tag"] = tags
    resource["meta"] = meta
    if not meta:
        del resource["meta"]


def _is_mark(tag: object) -> bool:
    return (
        isinstance(tag, dict)
        and tag.get("system") == VALIDATION_SYSTEM
        and tag.get("code") == INVALID_TAG["code"]
    )
