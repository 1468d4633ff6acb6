"""JSON merge patch: an object laid over another; null removes (RFC 7386)."""

from __future__ import annotations

from typing import Any

from schemas.outcomes import error


def read_merge_patch(document: Any, place: str = "patch") -> dict[str, Any]:
    """The parsed patch, which must be an object. Raises FhirError `invalid`."""
    if not isinstance(document, dict):
        raise error("invalid", "A merge patch of a resource is a JSON object.", place)
    return document


def apply_merge_patch(target: Any, patch: Any) -> Any:
    """`target` after the patch; neither is changed, but the result shares their values."""
    if type(patch) is not dict:
        return patch
    merged = dict(target) if type(target) is dict else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = apply_merge_patch(merged.get(key), value)
    return merged
