"""Whole numbers in addresses, headers and parameters."""

from __future__ import annotations

_MOST_DIGITS = 15


def whole_number(text: str) -> int | None:
    """The number that ASCII digits spell, None for anything else (superscripts, signs, epics)."""
    if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
        return int(text)
    return None
