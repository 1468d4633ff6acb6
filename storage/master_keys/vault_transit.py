"""A master key in HashiCorp Vault's transit engine: it never leaves Vault.

Needs `update` on `MOUNT/encrypt/NAME` and `MOUNT/decrypt/NAME`, and no more: with `create`, Vault
would make a key of a mistyped name. The key must be an AEAD one (`aes256-gcm96`, the default).
https://developer.hashicorp.com/vault/api-docs/secret/transit
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import Any

from schemas.outcomes import FhirError, error
from storage.keys import datastore_purpose
from storage.master_keys.refusals import check_provider, refused

_TIMEOUT_S = 10

# What Vault says of a request that it can do nothing with (400; 500 in some releases).
_SAID = {
    "encryption key not found": "there is no such key; it was deleted, or its name is mistyped",
    "disallowed by policy (too old)": "its min_decryption_version was raised above the version "
    "that the lake's keys are wrapped with; lower it, then run `chartlake keys rotate`",
    "no handler for route": "no transit engine is mounted there",
    "unsupported path": "no transit engine is mounted there",
}
_NOT_OURS = ("message authentication failed", "invalid ciphertext", "unable to decrypt")


class VaultTransitMasterKey:
    """A key of a transit engine."""

    _KIND = "vault-transit"

    def __init__(
        self,
        address: str,
        key_name: str,
        *,
        mount: str = "transit",
        token_file: Path | None = None,
        namespace: str | None = None,
        ca_file: Path | None = None,
    ) -> None:
        """`token_file` is read at each use; without it the token is that of `VAULT_TOKEN`.

        `ca_file` (default: `VAULT_CACERT`) holds the authority of Vault's certificate. Nothing is
        asked of Vault yet.
        """
        self.address = address.rstrip("/")
        self.key_name = key_name
        self.mount = mount
        self._token_file = token_file
        self._namespace = namespace
        self._ca_file = ca_file

    def wrap(self, key: bytes, lake_id: str) -> dict[str, object]:
        """See `MasterKey`."""
        answer = self._call("encrypt_data", lake_id, plaintext=base64.b64encode(key).decode())
        return {
            "provider": self._KIND,
            "address": self.address,
            "mount": self.mount,
            "name": self.key_name,
            "key": str(answer["ciphertext"]),
        }

    def unwrap(self, wrapped: dict[str, object], lake_id: str) -> bytes:
        """See `MasterKey`. The key may have moved to another address, but not got another name."""
        check_provider(wrapped, self._KIND, self.describe())
        if wrapped.get("name") != self.key_name:
            raise refused(self.describe())
        answer = self._call("decrypt_data", lake_id, ciphertext=str(wrapped.get("key")))
        try:
            return base64.b64decode(str(answer["plaintext"]), validate=True)
        except binascii.Error:
            raise refused(self.describe()) from None

    def describe(self) -> str:
        """See `MasterKey`."""
        return f"the Vault key {self.mount}/{self.key_name} at {self.address}"

    def _call(self, operation: str, lake_id: str, **arguments: str) -> dict[str, Any]:
        try:
            import hvac
            from hvac.exceptions import Forbidden, Unauthorized, VaultDown, VaultError
            from requests.exceptions import RequestException
        except ImportError:
            raise error(
                "not-supported", "A master key in Vault needs hvac: pip install 'chartlake[vault]'."
            ) from None
        verify = {"verify": str(self._ca_file)} if self._ca_file else {}
        client = hvac.Client(
            url=self.address,
            token=self._token(),
            namespace=self._namespace,
            timeout=_TIMEOUT_S,
            **verify,
        )
        purpose = base64.b64encode(datastore_purpose(lake_id)).decode()
        try:
            answer = getattr(client.secrets.transit, operation)(
                self.key_name, mount_point=self.mount, associated_data=purpose, **arguments
            )
            data: dict[str, Any] = answer["data"]
            return data
        except (Forbidden, Unauthorized):
            raise error(
                "forbidden",
                f"{self._sentence()}: Vault refuses this token the use of it; it has expired or "
                f"lacks `update` on {self.mount}/encrypt/{self.key_name} and "
                f"{self.mount}/decrypt/{self.key_name}.",
            ) from None
        except VaultDown:
            raise error(
                "unavailable", f"{self._sentence()}: Vault is sealed or in maintenance. Unseal it."
            ) from None
        except VaultError as failure:
            raise self._failed(failure) from None
        except (RequestException, OSError, ValueError, KeyError, TypeError) as failure:
            raise error(
                "unavailable",
                f"{self._sentence()}: Vault is not reached ({type(failure).__name__}). Check its "
                "address, the network and its certificate, and try again.",
            ) from None
        finally:
            client.adapter.close()

    def _failed(self, failure: Exception) -> FhirError:
        """What Vault said is compared, never repeated: it may quote the request."""
        said = str(failure)
        for text, meaning in _SAID.items():
            if text in said:
                return error("forbidden", f"{self._sentence()}: {meaning}.")
        if any(text in said for text in _NOT_OURS):
            return refused(self.describe())
        return error(
            "unavailable", f"{self._sentence()}: Vault answers {type(failure).__name__}. Try again."
        )

    def _token(self) -> str:
        if self._token_file is None:
            token = os.environ.get("VAULT_TOKEN", "").strip()
            if not token:
                raise error(
                    "forbidden",
                    f"{self._sentence()}: there is no token. Name a file with `?token_file=…`, or "
                    "set VAULT_TOKEN.",
                )
            return token
        try:
            token = self._token_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as failure:
            raise error(
                "forbidden",
                f"{self._sentence()}: its token file {self._token_file} cannot be read "
                f"({type(failure).__name__}).",
            ) from None
        if not token:
            raise error("forbidden", f"{self._sentence()}: {self._token_file} is empty.")
        return token

    def _sentence(self) -> str:
        return f"The master key cannot be used ({self.describe()})"
