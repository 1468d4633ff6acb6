"""Keys: how they are made and wrapped by other keys, and what a master key is.

master key (a provider of `storage.master_keys`) → datastore key → the keys of `storage.keystore`.
A wrapped key is AES-256-GCM ciphertext whose associated data names its purpose, so that a key
cannot be put to another use, nor into another lake, without being noticed.
"""

from __future__ import annotations

import os
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12


def datastore_purpose(lake_id: str) -> bytes:
    """What the datastore key of a lake is bound to."""
    return f"chartlake datastore key {lake_id}".encode()


def new_key() -> bytes:
    """256 random bits."""
    return os.urandom(KEY_BYTES)


def wrap_key(wrapping: bytes, key: bytes, purpose: bytes) -> bytes:
    """`key` encrypted under `wrapping` for one purpose: nonce, ciphertext, tag."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(wrapping).encrypt(nonce, key, purpose)


def unwrap_key(wrapping: bytes, wrapped: bytes, purpose: bytes) -> bytes:
    """The key that `wrap_key` wrapped. Raises InvalidTag for any other key, purpose or bytes."""
    if len(wrapped) <= _NONCE_BYTES:
        raise InvalidTag
    return AESGCM(wrapping).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], purpose)


class MasterKey(Protocol):
    """A provider of the key that a lake's own keys are wrapped under.

    Implement it to keep the master key elsewhere (a KMS, an HSM): only `wrap` and `unwrap` see it.
    """

    def wrap(self, key: bytes, lake_id: str) -> dict[str, object]:
        """The key, wrapped for one lake, as a JSON object: all that `unwrap` needs, no secret."""

    def unwrap(self, wrapped: dict[str, object], lake_id: str) -> bytes:
        """The key again. Raises FhirError `forbidden` when this is not the master key it needs.

        The same for what was wrapped for another lake; `unavailable` when a provider is not there.
        """

    def describe(self) -> str:
        """Where the master key comes from, for messages; no secret."""
