"""JSON Pointer: the place of a value in a JSON document (RFC 6901)."""

from __future__ import annotations

import re

from schemas.outcomes import error

MAX_TOKENS = 100
"""The deepest place that a pointer names: documents are not nested deeper (`schemas.parse`)."""

_STRAY_TILDE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


def tokens_of(pointer: str, place: str) -> tuple[str, ...]:
    """The reference tokens of a pointer; none for `""`, the whole document.

    `place` names the pointer in issues. Raises FhirError `invalid`.
    """
    if not pointer:
        return ()
    if not pointer.startswith("/"):
        raise error("invalid", "A JSON Pointer is empty or begins with a slash.", place)
    if _STRAY_TILDE.search(pointer):
        raise error("invalid", "In a JSON Pointer a tilde is written ~0 and a slash ~1.", place)
    tokens = pointer[1:].split("/")
    if len(tokens) > MAX_TOKENS:
        raise error("invalid", f"The pointer has more than {MAX_TOKENS} levels.", place)
    if "~" not in pointer:
        return tuple(tokens)
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in tokens)


def index_of(token: str) -> int | None:
    """The array index that a token is: digits without leading zeros; None for anything else."""
    return int(token) if _INDEX.fullmatch(token) and token.isascii() else None
