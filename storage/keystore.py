"""`keys/keystore.json`: the lake's identity and its wrapped datastore and database keys.

The data keys of segments are not here: each is a row of the (encrypted) database, wrapped under the
datastore key and committed together with its segment, so that neither can be without the other.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from schemas.outcomes import FhirError, error
from storage.keys import MasterKey, new_key, unwrap_key, wrap_key
from storage.private_files import create_file

FILE_NAME = "keystore.json"
_FORMAT = 1


@dataclass(frozen=True)
class Keystore:
    """The opened keystore. Never log or print it: it holds keys in the clear."""

    lake_id: str
    datastore_key: bytes
    database_key: bytes

    def __repr__(self) -> str:
        return f"Keystore({self.lake_id})"

    @classmethod
    def new(cls) -> Keystore:
        """Fresh keys for a new lake, not yet written anywhere."""
        return cls(str(uuid.uuid4()), new_key(), new_key())

    def write(self, path: Path, master_key: MasterKey) -> None:
        """Write a new keystore file, durable on return. Raises FileExistsError."""
        wrapped = wrap_key(self.datastore_key, self.database_key, _database_purpose(self.lake_id))
        content = {
            "format": _FORMAT,
            "lake": self.lake_id,
            "datastore": master_key.wrap(self.datastore_key),
            "database": base64.b64encode(wrapped).decode(),
        }
        create_file(path, json.dumps(content, indent=2).encode() + b"\n")

    @classmethod
    def read(cls, path: Path, master_key: MasterKey) -> Keystore:
        """Open a keystore file. Raises FhirError: `forbidden` (another master key), `invalid`."""
        try:
            content: dict[str, Any] = json.loads(path.read_bytes())
            if content["format"] != _FORMAT:
                raise error(
                    "not-supported",
                    f"{path} has format {str(content['format'])[:9]}; this release: {_FORMAT}.",
                )
            lake_id, wrapped = str(content["lake"]), content["datastore"]
            database = base64.b64decode(content["database"], validate=True)
            if not isinstance(wrapped, dict):
                raise TypeError
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, binascii.Error):
            raise _damaged(path) from None
        datastore_key = master_key.unwrap(wrapped)
        try:
            database_key = unwrap_key(datastore_key, database, _database_purpose(lake_id))
        except (InvalidTag, ValueError):
            raise _damaged(path) from None
        return cls(lake_id, datastore_key, database_key)

    def cursor_key(self) -> bytes:
        """The key that authenticates paging cursors; known to this lake alone."""
        return HKDFExpand(hashes.SHA256(), 32, b"chartlake paging cursors").derive(
            self.datastore_key
        )

    def wrap_segment_key(self, key: bytes, segment: str) -> bytes:
        """A segment's data key for the database."""
        return wrap_key(self.datastore_key, key, _segment_purpose(self.lake_id, segment))

    def unwrap_segment_key(self, wrapped: bytes, segment: str) -> bytes:
        """A segment's data key again. Raises FhirError `internal` when it is damaged."""
        try:
            return unwrap_key(self.datastore_key, wrapped, _segment_purpose(self.lake_id, segment))
        except InvalidTag:
            raise error("internal", f"The key of segment {segment} is damaged.") from None


def _database_purpose(lake_id: str) -> bytes:
    return f"chartlake database key {lake_id}".encode()


def _segment_purpose(lake_id: str, segment: str) -> bytes:
    return f"chartlake segment key {lake_id} {segment}".encode()


def _damaged(path: Path) -> FhirError:
    return error(
        "invalid", f"{path} is damaged or no keystore of a lake. Bring it back from a backup."
    )
