"""Keys: who may open a lake, and how keys are wrapped by other keys.

master key (a provider below) → datastore key → database key, and one data key per segment.
A wrapped key is AES-256-GCM ciphertext whose associated data names its purpose, so that a key
cannot be put to another use, nor into another lake, without being noticed.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from schemas.outcomes import FhirError, error
from storage.private_files import create_file, make_folder

KEY_BYTES = 32
_NONCE_BYTES = 12
_SALT_BYTES = 16

# 2^15 · 8 · 128 bytes = 32 MiB and about 0.1 s per try (RFC 7914); bounds of what is read back.
_SCRYPT = {"n": 2**15, "r": 8, "p": 1}
_SCRYPT_N_MAX = 2**20
MIN_PASSPHRASE = 12


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


def _refused(description: str) -> FhirError:
    return error(
        "forbidden",
        f"The lake cannot be opened with {description}: it was made with another master key, or "
        "its keystore is damaged. Give the master key it was made with.",
    )


def _unwrap(
    wrapping: bytes, wrapped: dict[str, object], lake_id: str, kind: str, description: str
) -> bytes:
    if wrapped.get("provider") != kind:
        raise error(
            "forbidden",
            f"The lake's keys are wrapped for the provider {str(wrapped.get('provider'))[:32]!r}, "
            f"not for {description}. Open it with that kind of master key.",
        )
    try:
        data = base64.b64decode(str(wrapped.get("key")), validate=True)
        return unwrap_key(wrapping, data, datastore_purpose(lake_id))
    except (binascii.Error, InvalidTag):
        raise _refused(description) from None


class KeyFileMasterKey:
    """A master key in a file: 32 random bytes as base64, readable by its owner alone."""

    _KIND = "key-file"

    def __init__(self, path: Path | str) -> None:
        """`path` must exist when the lake is opened; `create` makes it."""
        self.path = Path(path)

    @classmethod
    def create(cls, path: Path | str) -> KeyFileMasterKey:
        """Write a new random key, mode 0600. Raises FhirError `conflict` when the file exists."""
        path = Path(path)
        make_folder(path.parent)
        try:
            create_file(path, base64.b64encode(new_key()) + b"\n")
        except FileExistsError:
            raise error(
                "conflict", f"{path} exists. A master key is never overwritten; name another file."
            ) from None
        return cls(path)

    def wrap(self, key: bytes, lake_id: str) -> dict[str, object]:
        """See `MasterKey`."""
        wrapped = wrap_key(self._read(), key, datastore_purpose(lake_id))
        return {"provider": self._KIND, "key": base64.b64encode(wrapped).decode()}

    def unwrap(self, wrapped: dict[str, object], lake_id: str) -> bytes:
        """See `MasterKey`."""
        return _unwrap(self._read(), wrapped, lake_id, self._KIND, self.describe())

    def describe(self) -> str:
        """See `MasterKey`."""
        return f"the master key file {self.path}"

    def _read(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                if mode & 0o077:
                    raise error(
                        "forbidden",
                        f"{self.path} can be read by others (mode {mode:04o}). "
                        f"Run: chmod 600 {self.path}",
                    )
                text = file.read(1024)
            key = base64.b64decode(text.strip(), validate=True)
        except FileNotFoundError:
            raise error(
                "not-found", f"There is no master key file at {self.path}. Bring back the file."
            ) from None
        except binascii.Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise error(
                "invalid",
                f"{self.path} is no master key file: it must hold {KEY_BYTES} bytes as base64.",
            )
        return key


class PassphraseMasterKey:
    """A master key derived from a passphrase by scrypt (RFC 7914); its salt is in the keystore."""

    _KIND = "passphrase"

    def __init__(self, passphrase: str) -> None:
        """Raises FhirError `value` for fewer than `MIN_PASSPHRASE` characters."""
        if len(passphrase) < MIN_PASSPHRASE:
            raise error("value", f"A passphrase needs at least {MIN_PASSPHRASE} characters.")
        self._passphrase = passphrase

    def wrap(self, key: bytes, lake_id: str) -> dict[str, object]:
        """See `MasterKey`."""
        salt = os.urandom(_SALT_BYTES)
        wrapped = wrap_key(self._derive(salt, **_SCRYPT), key, datastore_purpose(lake_id))
        return {
            "provider": self._KIND,
            "salt": base64.b64encode(salt).decode(),
            **_SCRYPT,
            "key": base64.b64encode(wrapped).decode(),
        }

    def unwrap(self, wrapped: dict[str, object], lake_id: str) -> bytes:
        """See `MasterKey`."""
        key = b""
        if wrapped.get("provider") == self._KIND:
            try:
                salt = base64.b64decode(str(wrapped.get("salt")), validate=True)
                cost = {name: wrapped[name] for name in _SCRYPT}
                n, r, p = (int(str(cost[name])) for name in ("n", "r", "p"))
                if not (2**14 <= n <= _SCRYPT_N_MAX and 1 <= r <= 32 and 1 <= p <= 16):
                    raise ValueError
                key = self._derive(salt, n, r, p)
            except (binascii.Error, ValueError, KeyError):
                raise _refused(self.describe()) from None
        return _unwrap(key, wrapped, lake_id, self._KIND, self.describe())

    def describe(self) -> str:
        """See `MasterKey`."""
        return "this passphrase"

    def _derive(self, salt: bytes, n: int, r: int, p: int) -> bytes:
        return Scrypt(salt=salt, length=KEY_BYTES, n=n, r=r, p=p).derive(self._passphrase.encode())
