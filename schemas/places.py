"""Where in a resource something stands, spelled out only when there is something to say."""

from __future__ import annotations

from typing import Any

Place = tuple[Any, str, int]
"""(the place above or None, key, index of an array or -1)."""


def spelled(place: Place | None, *more: Any) -> str:
    """`Patient.name[0].given`: the place, and names or indexes below it."""
    parts: list[str] = []
    while place is not None:
        above, key, index = place
        parts.append(f"{key}[{index}]" if index >= 0 else key)
        place = above
    parts.reverse()
    for one in more:
        if isinstance(one, int):
            parts[-1] += f"[{one}]"
        else:
            parts.append(one[:64])
    return ".".join(parts)
