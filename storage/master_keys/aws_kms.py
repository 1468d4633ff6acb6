"""A master key in AWS KMS: it never leaves the service, which wraps and unwraps for those it lets.

Needs kms:Encrypt and kms:Decrypt on the key. The encryption context names the lake and the purpose,
so that key policies can restrict either and CloudTrail shows which lake was opened.
https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from schemas.outcomes import FhirError, error
from storage.master_keys.refusals import check_provider, refused

_CONNECT_S = 5
_READ_S = 10
_ATTEMPTS = 3

_NOT_ALLOWED = {
    "AccessDeniedException": "AWS refuses these credentials the use of it; allow them kms:Encrypt "
    "and kms:Decrypt in the key policy or by IAM",
    "DisabledException": "it is disabled; enable it again",
    "KMSInvalidStateException": "it cannot be used in its present state (pending deletion, or its "
    "key material is gone); cancel the deletion while that is possible",
    "NotFoundException": "there is no such key or alias in this account and region",
    "InvalidKeyUsageException": "it is no key for encryption",
    "ExpiredTokenException": "the AWS credentials have expired",
    "UnrecognizedClientException": "AWS does not know these credentials",
    "InvalidClientTokenId": "AWS does not know these credentials",
    "InvalidSignatureException": "AWS does not accept the signature of these credentials",
    "IncompleteSignature": "AWS does not accept the signature of these credentials",
    "MissingAuthenticationTokenException": "AWS wants credentials",
}
_NOT_OURS = ("InvalidCiphertextException", "IncorrectKeyException")


class AwsKmsMasterKey:
    """A symmetric KMS key, named by ARN, key id, alias ARN or `alias/NAME`."""

    _KIND = "aws-kms"

    def __init__(
        self, key_id: str, *, region: str | None = None, endpoint_url: str | None = None
    ) -> None:
        """Credentials are boto3's (environment, profile, role of the machine).

        `region` is taken from an ARN where none is given. Nothing is asked of AWS yet.
        """
        self.key_id = key_id
        self._region = region or _region_of(key_id)
        self._endpoint_url = endpoint_url

    def wrap(self, key: bytes, lake_id: str) -> dict[str, object]:
        """See `MasterKey`."""
        answer = self._call(
            "encrypt", KeyId=self.key_id, Plaintext=key, EncryptionContext=_context(lake_id)
        )
        return {
            "provider": self._KIND,
            "key_id": str(answer["KeyId"]),
            "key": base64.b64encode(answer["CiphertextBlob"]).decode(),
        }

    def unwrap(self, wrapped: dict[str, object], lake_id: str) -> bytes:
        """See `MasterKey`."""
        check_provider(wrapped, self._KIND, self.describe())
        try:
            blob = base64.b64decode(str(wrapped.get("key")), validate=True)
        except binascii.Error:
            raise refused(self.describe()) from None
        key_id = str(wrapped.get("key_id"))
        if self.key_id.startswith("arn:") and ":key/" in self.key_id and key_id != self.key_id:
            raise refused(self.describe())
        # The key that wrapped it, which an alias may have left by now.
        answer = self._call(
            "decrypt", KeyId=key_id, CiphertextBlob=blob, EncryptionContext=_context(lake_id)
        )
        plaintext: bytes = answer["Plaintext"]
        return plaintext

    def describe(self) -> str:
        """See `MasterKey`."""
        return f"the AWS KMS key {self.key_id}"

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import (
                BotoCoreError,
                ClientError,
                CredentialRetrievalError,
                NoCredentialsError,
                NoRegionError,
                PartialCredentialsError,
                ProfileNotFound,
            )
        except ImportError:
            raise error(
                "not-supported",
                "A master key in AWS KMS needs boto3: pip install 'chartlake[aws]'.",
            ) from None
        try:
            # A client for each call: both are rare, and credentials are looked up anew.
            client = boto3.session.Session().client(
                "kms",
                region_name=self._region,
                endpoint_url=self._endpoint_url,
                config=Config(
                    connect_timeout=_CONNECT_S,
                    read_timeout=_READ_S,
                    retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
                ),
            )
            answer: dict[str, Any] = getattr(client, operation)(**arguments)
            return answer
        except NoRegionError:
            raise error(
                "value", f"{self.describe()} needs a region: add `?region=…` or name its ARN."
            ) from None
        except (
            NoCredentialsError,
            PartialCredentialsError,
            CredentialRetrievalError,
            ProfileNotFound,
        ):
            raise error(
                "forbidden",
                f"{self._sentence()}: no AWS credentials were found. Set a profile, the "
                "environment variables, or a role of this machine.",
            ) from None
        except ClientError as failure:
            raise self._failed(str(failure.response.get("Error", {}).get("Code"))) from None
        except (BotoCoreError, ValueError) as failure:
            # Also unreachable endpoints and timeouts; the text may hold what is not to be logged.
            raise error(
                "unavailable",
                f"{self._sentence()}: AWS KMS is not reached ({type(failure).__name__}). "
                "Check the network, the region and the endpoint, and try again.",
            ) from None

    def _failed(self, code: str) -> FhirError:
        if code in _NOT_OURS:
            return refused(self.describe())
        if code in _NOT_ALLOWED:
            return error("forbidden", f"{self._sentence()}: {_NOT_ALLOWED[code]}.")
        shown = code if re.fullmatch(r"[A-Za-z0-9._]{1,64}", code) else "an unknown failure"
        return error("unavailable", f"{self._sentence()}: AWS KMS answers {shown}. Try again.")

    def _sentence(self) -> str:
        return f"The master key cannot be used ({self.describe()})"


def _region_of(key_id: str) -> str | None:
    parts = key_id.split(":")
    return parts[3] or None if len(parts) >= 6 and parts[0] == "arn" else None


def _context(lake_id: str) -> dict[str, str]:
    return {"chartlake:lake": lake_id, "chartlake:purpose": "datastore key"}
