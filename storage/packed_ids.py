"""Resource ids as the version table keeps them: a UUID in 16 bytes, any other id as its text.

Most ids are UUIDs in their canonical form, and an id stands in several B-trees: 16 bytes instead
of 36 characters are a tenth of a whole lake's size.
"""

from __future__ import annotations

UNPACK_SQL = "unpacked_id"
"""Name of the SQL function that every connection has for `unpack`: ids in the order of texts."""


def pack(id: str) -> bytes | str:
    """The key of an id. Two ids have the same key only when they are the same."""
    if len(id) == 36 and id[8] == id[13] == id[18] == id[23] == "-":
        try:
            packed = bytes.fromhex(id.replace("-", ""))
        except ValueError:
            return id
        # Upper-case digits make another id; spaces or more dashes leave less than 16 bytes.
        if len(packed) == 16 and id == id.lower():
            return packed
    return id


def unpack(key: bytes | str) -> str:
    """The id of a key."""
    return key if isinstance(key, str) else _text(key)


def _text(packed: bytes) -> str:
    digits = packed.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
