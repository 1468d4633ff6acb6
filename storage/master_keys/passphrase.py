"""A master key derived from a passphrase."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from schemas.outcomes import error
from storage.keys import KEY_BYTES, datastore_purpose, wrap_key
from storage.master_keys.refusals import check_provider, refused, unwrap_locally

_SALT_BYTES = 16

# 2^15 · 8 · 128 bytes = 32 MiB and about 0.1 s per try (RFC 7914); bounds of what is read back.
_SCRYPT = {"n": 2**15, "r": 8, "p": 1}
_SCRYPT_N_MAX = 2**20
MIN_PASSPHRASE = 12


class PassphraseMasterKey:
    """A master key derived from a passphrase by scrypt (RFC 7914); its salt is in the keystore."""

    _KIND = "passphrase"

    def __init__(self, passphrase: str) -> None:
        """Raises FhirError `value` for fewer than `MIN_PASSPHRASE` characters."""
        if len(passphrase) < MIN_PASSPHRASE:
            raise error("value", f"A passphrase needs at least {MIN_PASSPHRASE} characters.")
        self._passphrase = passphrase

    @classmethod
    def from_file(cls, path: Path) -> PassphraseMasterKey:
        """The passphrase in a file, without its line end. Raises FhirError `value`, `not-found`."""
        try:
            text = path.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as failure:
            raise error(
                "not-found",
                f"The passphrase file {path} cannot be read ({type(failure).__name__}).",
            ) from None
        return cls(text)

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
        check_provider(wrapped, self._KIND, self.describe())
        try:
            salt = base64.b64decode(str(wrapped.get("salt")), validate=True)
            n, r, p = (int(str(wrapped[name])) for name in ("n", "r", "p"))
            if not (2**14 <= n <= _SCRYPT_N_MAX and 1 <= r <= 32 and 1 <= p <= 16):
                raise ValueError
            key = self._derive(salt, n, r, p)
        except (binascii.Error, ValueError, KeyError):
            raise refused(self.describe()) from None
        return unwrap_locally(key, wrapped, lake_id, self.describe())

    def describe(self) -> str:
        """See `MasterKey`."""
        return "this passphrase"

    def _derive(self, salt: bytes, n: int, r: int, p: int) -> bytes:
        return Scrypt(salt=salt, length=KEY_BYTES, n=n, r=r, p=p).derive(self._passphrase.encode())
