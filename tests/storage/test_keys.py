"""Wrapping keys by keys."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidTag

from storage.keys import new_key, unwrap_key, wrap_key


def test_wrapped_key_needs_the_same_key_and_purpose() -> None:
    wrapping, key = new_key(), new_key()
    wrapped = wrap_key(wrapping, key, b"purpose")
    assert key not in wrapped
    assert unwrap_key(wrapping, wrapped, b"purpose") == key
    for other in ((new_key(), wrapped, b"purpose"), (wrapping, wrapped, b"another purpose")):
        with pytest.raises(InvalidTag):
            unwrap_key(*other)
    for position in (0, 20, len(wrapped) - 1):
        changed = bytearray(wrapped)
        changed[position] ^= 1
        with pytest.raises(InvalidTag):
            unwrap_key(wrapping, bytes(changed), b"purpose")
    with pytest.raises(InvalidTag):
        unwrap_key(wrapping, b"", b"purpose")
