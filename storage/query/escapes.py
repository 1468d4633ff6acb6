"""Backslash escapes in search values: `\\,` `\\|` `\\$` `\\\\`.

https://hl7.org/fhir/R4/search.html#escaping
"""

from __future__ import annotations


def split(text: str, separator: str, limit: int = 0) -> list[str]:
    """The parts between unescaped separators (at most `limit` + 1), still escaped."""
    if "\\" not in text:
        return text.split(separator, limit or -1)
    parts: list[str] = []
    start = position = 0
    while position < len(text):
        if text[position] == "\\":
            position += 2
            continue
        if text[position] == separator and not (limit and len(parts) == limit):
            parts.append(text[start:position])
            start = position + 1
        position += 1
    parts.append(text[start:])
    return parts


def unescape(text: str) -> str:
    """The text that was meant. A backslash before any other character stands for itself."""
    if "\\" not in text:
        return text
    out: list[str] = []
    position = 0
    while position < len(text):
        if text[position] == "\\" and text[position + 1 : position + 2] in {",", "|", "$", "\\"}:
            position += 1
        out.append(text[position])
        position += 1
    return "".join(out)
