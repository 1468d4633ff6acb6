"""Segments: immutable Parquet files with Modular Encryption (AES-GCM, footer included).

Every module of the file is encrypted with a random data key of the file's own, which the file holds
wrapped under its segment key; the segment key is an entry of the key store. What the file says of
it in the clear is its id.
https://github.com/apache/parquet-format/blob/master/Encryption.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
from cryptography.exceptions import InvalidTag

from storage.keys import unwrap_key, wrap_key
from storage.private_files import make_folder, sync_file, sync_folder

_PURPOSE = b"chartlake parquet data key"

# A body is read by decoding the row group that it is in: about this many bytes of bodies.
_GROUP_BYTES = 2 * 2**20
_MIN_GROUP_ROWS, _MAX_GROUP_ROWS = 64, 1024

_NO_DICTIONARY = frozenset({"v", "t", "id", "last_updated", "body"})


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """One segment, as a reader opens it: `pq.ParquetFile(path, decryption_properties=…)`.

    The properties may be shared by threads; an opened ParquetFile may not.
    """

    path: Path
    decryption_properties: object
    rows: int


class _SegmentKms(pe.KmsClient):
    """The "key management service" that Parquet asks to wrap and unwrap a file's data key."""

    def __init__(self, key_id: str, key: bytes) -> None:
        super().__init__()
        self._key_id = key_id
        self._key = key

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        self._check(master_key_identifier)
        return base64.b64encode(wrap_key(self._key, key_bytes, _PURPOSE))

    def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
        self._check(master_key_identifier)
        try:
            return unwrap_key(self._key, base64.b64decode(wrapped_key, validate=True), _PURPOSE)
        except (InvalidTag, binascii.Error):
            raise ValueError(f"the data key in segment {self._key_id} is damaged") from None

    def _check(self, key_id: str) -> None:
        if key_id != self._key_id:
            raise ValueError(f"segment {self._key_id} names the key of another one")


def _factory(key_id: str, key: bytes) -> pe.CryptoFactory:
    return pe.CryptoFactory(lambda _configuration: _SegmentKms(key_id, key))


def decryption_properties(key_id: str, key: bytes) -> object:
    """What pyarrow needs to open the segment of that key."""
    configuration = pe.DecryptionConfiguration(cache_lifetime=timedelta(minutes=5))
    return _factory(key_id, key).file_decryption_properties(pe.KmsConnectionConfig(), configuration)


def group_rows(versions: pa.Table) -> int:
    """Rows in a row group, by the size of the bodies."""
    mean = versions["body"].nbytes // max(versions.num_rows, 1) + 1
    return max(_MIN_GROUP_ROWS, min(_MAX_GROUP_ROWS, _GROUP_BYTES // mean))


def write(
    path: Path, versions: pa.Table, key_id: str, key: bytes, rows_in_group: int
) -> tuple[int, bytes]:
    """Write a segment; under its name, whole and durable, on return. Its size and SHA-256.

    Nothing is ever written in the clear: the file is encrypted from its first byte on.
    """
    make_folder(path.parent)
    configuration = pe.EncryptionConfiguration(
        footer_key=key_id,
        uniform_encryption=True,
        encryption_algorithm="AES_GCM_V1",
        plaintext_footer=False,
        double_wrapping=False,
        data_key_length_bits=256,
    )
    properties = _factory(key_id, key).file_encryption_properties(
        pe.KmsConnectionConfig(), configuration
    )
    temporary = path.with_name(path.name + ".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        dictionary = [name for name in versions.column_names if name not in _NO_DICTIONARY]
        with pq.ParquetWriter(
            file,
            versions.schema,
            compression="zstd",
            use_dictionary=[_leaf(versions.schema, name) for name in dictionary],
            encryption_properties=properties,
        ) as writer:
            writer.write_table(versions, row_group_size=rows_in_group)
    sync_file(temporary)
    temporary.rename(path)
    sync_folder(path.parent)
    return path.stat().st_size, digest(path)


def digest(path: Path) -> bytes:
    """SHA-256 of the file, which covers also what its tags do not (the magic, lengths)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _leaf(schema: pa.Schema, name: str) -> str:
    """The Parquet column of a field: a list's values are one level below it."""
    return f"{name}.list.element" if pa.types.is_list(schema.field(name).type) else name
