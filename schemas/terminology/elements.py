"""Reading definitions that may not be as they should: what has another shape is not there."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def dicts(holder: Json, name: str) -> list[Json]:
    """The objects of an array."""
    found = holder.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def texts(holder: Json, name: str) -> list[str]:
    """The texts of an array."""
    found = holder.get(name)
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def text(holder: Json, name: str) -> str | None:
    """A text."""
    found = holder.get(name)
    return found if isinstance(found, str) else None
