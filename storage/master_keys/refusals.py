"""What every provider says of a lake that its master key does not open."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag

from schemas.outcomes import FhirError, error
from storage.keys import datastore_purpose, unwrap_key


def refused(description: str) -> FhirError:
    """The lake needs another master key, or its keystore is damaged: there is no telling which."""
    return error(
        "forbidden",
        f"The lake cannot be opened with {description}: its keys are wrapped by another master "
        "key, or its keystore is damaged. Give the master key it was made with or last rotated to.",
    )


def check_provider(wrapped: Mapping[str, object], kind: str, description: str) -> None:
    """Raise FhirError `forbidden` for keys that another kind of provider wrapped."""
    if wrapped.get("provider") != kind:
        raise error(
            "forbidden",
            f"The lake's keys are wrapped for the provider {str(wrapped.get('provider'))[:32]!r}, "
            f"not for {description}. Open it with that kind of master key.",
        )


def unwrap_locally(
    wrapping: bytes, wrapped: Mapping[str, object], lake_id: str, description: str
) -> bytes:
    """The datastore key, for providers that hold the wrapping key here. FhirError `forbidden`."""
    try:
        data = base64.b64decode(str(wrapped.get("key")), validate=True)
        return unwrap_key(wrapping, data, datastore_purpose(lake_id))
    except (binascii.Error, InvalidTag):
        raise refused(description) from None
