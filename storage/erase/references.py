"""References as they stand in the bytes of a body: any JSON string that begins with `Type/id`.

Elements that no search parameter looks at (an attachment's URL, an extension) are among them.
"""

from __future__ import annotations

import re

Key = tuple[str, str]
"""Type and id of a resource."""

_REFERENCE = re.compile(rb'"([A-Z][A-Za-z]{2,40})/([A-Za-z0-9\-.]{1,64})(?=["/|])')


def references(body: bytes) -> set[Key]:
    """What a body refers to in this lake; text that merely looks so may be among it."""
    return {(kind.decode(), id.decode()) for kind, id in _REFERENCE.findall(body)}


def needle(key: Key) -> bytes:
    """Bytes that are in every body that refers to the resource."""
    return f'"{key[0]}/{key[1]}'.encode()


def shown(key: Key) -> str:
    """`Type/id`."""
    return f"{key[0]}/{key[1]}"
