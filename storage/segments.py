"""Segments: immutable Parquet files with Modular Encryption (AES-GCM, footer included).

Every module of the file is encrypted with a random data key of the file's own, which the file holds
wrapped under its segment key; the segment key is an entry of the key store. What the file says of
it in the clear is its id.
https://github.com/apache/parquet-format/blob/master/Encryption.md
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
from cryptography.exceptions import InvalidTag

from schemas.outcomes import FhirError
from storage.body_pages import BodyPages
from storage.keys import unwrap_key, wrap_key
from storage.segment_files import SegmentFiles, Sink

_PURPOSE = b"chartlake parquet data key"

# A row group is what is held when segments are merged, and what a query skips or reads of a
# column: about this many bytes of bodies. Small ones make the footer large.
_GROUP_BYTES = 16 * 2**20
_MIN_GROUP_ROWS, _MAX_GROUP_ROWS = 8, 16_384

# A body is read by decoding the page that it is in (`storage.body_pages`): it ends at the first
# multiple of so many rows that has so many bytes. Pages of half the size take a fifth more disk.
_PAGE_ROWS = 64
_PAGE_BYTES = 64 * 2**10

_NO_DICTIONARY = frozenset({"v", "t", "id", "last_updated", "body"})


def _no_data_key(key_id: str, wrapped: str) -> bytes:
    raise ValueError(f"the key of segment {key_id} is not here")


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """One segment, as a reader opens it.

    Its fields may be shared by threads; an opened ParquetFile may not.
    """

    name: str
    resource_type: str
    filesystem: fs.FileSystem
    path: str
    cache_key: str
    decryption_properties: object
    rows: int
    explain: Callable[[SegmentFile, BaseException], FhirError] = field(repr=False, compare=False)
    unwrap_data_key: Callable[[str, str], bytes] = field(
        default=_no_data_key, repr=False, compare=False
    )

    def open(self, **options: Any) -> pq.ParquetFile:
        """The file, opened; `options` as of `pyarrow.parquet.ParquetFile`. OSError, ArrowException.

        Give what is raised, here or by reading, to `failure`.
        """
        return pq.ParquetFile(
            self.path,
            filesystem=self.filesystem,
            decryption_properties=self.decryption_properties,
            **options,
        )

    def open_bodies(self) -> BodyPages:
        """Reads single bodies. OSError, ArrowException, ValueError, as `open`."""
        return BodyPages(self)

    def failure(self, exception: BaseException) -> FhirError:
        """What to tell a client when reading this segment raised `exception`.

        `conflict` when it was erased meanwhile, `unavailable` when its store cannot be reached,
        `internal` when it is damaged.
        """
        return self.explain(self, exception)


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


def data_key_unwrapper(key_id: str, key: bytes) -> Callable[[str, str], bytes]:
    """Unwraps the data key that the segment of that key holds: `(key id, wrapped) -> data key`.

    Raises ValueError when it is another one's, or damaged.
    """
    kms = _SegmentKms(key_id, key)
    return lambda named, wrapped: kms.unwrap_key(wrapped.encode(), named)


def group_rows(body_bytes: int, rows: int) -> int:
    """Rows in a row group, by the size of the bodies."""
    mean = body_bytes // max(rows, 1) + 1
    return max(_MIN_GROUP_ROWS, min(_MAX_GROUP_ROWS, _GROUP_BYTES // mean))


class SegmentWriter:
    """Writes a segment, one row group after another. Use `writing`."""

    def __init__(self, writer: pq.ParquetWriter, sink: Sink) -> None:
        self._writer = writer
        self._sink = sink

    @property
    def size(self) -> int:
        """Bytes of the file so far; all of them when `writing` is over."""
        return self._sink.bytes

    @property
    def sha256(self) -> bytes:
        """SHA-256 of the file, when `writing` is over."""
        return self._sink.sha256

    def write(self, versions: pa.Table, rows_in_group: int) -> None:
        """Append row groups; only a segment's last one may have fewer rows than `rows_in_group`."""
        self._writer.write_table(versions, row_group_size=rows_in_group)


@contextlib.contextmanager
def writing(
    files: SegmentFiles, resource_type: str, name: str, schema: pa.Schema, key: bytes
) -> Iterator[SegmentWriter]:
    """Write a segment; it is under its name, whole and durable, at the end of the block.

    Nothing is ever written in the clear: the file is encrypted from its first byte on.
    """
    configuration = pe.EncryptionConfiguration(
        footer_key=name,
        uniform_encryption=True,
        encryption_algorithm="AES_GCM_V1",
        plaintext_footer=False,
        double_wrapping=False,
        data_key_length_bits=256,
    )
    properties = _factory(name, key).file_encryption_properties(
        pe.KmsConnectionConfig(), configuration
    )
    dictionary = [column for column in schema.names if column not in _NO_DICTIONARY]
    with files.writing(resource_type, name) as sink:
        writer = pq.ParquetWriter(
            sink,
            schema,
            compression="zstd",
            use_dictionary=[_leaf(schema, column) for column in dictionary],
            # The least and the greatest body of each row group would be in the footer, twice.
            write_statistics=[_leaf(schema, name) for name in schema.names if name != "body"],
            write_batch_size=_PAGE_ROWS,
            data_page_size=_PAGE_BYTES,
            encryption_properties=properties,
        )
        try:
            yield SegmentWriter(writer, sink)
        except BaseException:
            # The writer writes a footer when it ends, as if all were well.
            sink.give_up()
            raise
        finally:
            writer.close()


def _leaf(schema: pa.Schema, name: str) -> str:
    """The Parquet column of a field: a list's values are one level below it."""
    return f"{name}.list.element" if pa.types.is_list(schema.field(name).type) else name
