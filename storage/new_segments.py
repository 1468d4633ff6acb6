"""Making segments so that a crash at any moment leaves nothing behind that no one knows of.

1. A transaction notes the file that is about to be made (`segment_begun`); then the key store gets
   its key.
2. The file is written, encrypted, and durable under its name.
3. The transaction that records the segment takes the note back.

What was noted and not recorded is removed, its key too: at the next start, or before the next file.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import apsw
import numpy as np
import pyarrow as pa

from storage import former_segments, segments
from storage.database import Database
from storage.disk_failures import file_refusal
from storage.segment_files import SUFFIX
from storage.segment_store import SETTLING, SegmentStore
from storage.terms import Terms
from storage.writer import Writer

log = logging.getLogger("chartlake.storage")


@dataclass(eq=False)
class NewSegment:
    """A segment that is written but not recorded; no one reads it yet."""

    name: str
    type_number: int
    resource_type: str
    group_rows: int
    versions: list[np.ndarray]
    size: int = 0
    sha256: bytes = b""

    @property
    def v(self) -> np.ndarray:
        """The `v` of each row."""
        return np.concatenate(self.versions) if self.versions else np.empty(0, np.int64)

    @property
    def rows(self) -> int:
        """Number of versions."""
        return sum(len(part) for part in self.versions)


class SegmentDraft:
    """A segment that is being written."""

    def __init__(self, segment: NewSegment, writer: segments.SegmentWriter) -> None:
        self.segment = segment
        self._writer = writer

    @property
    def size(self) -> int:
        """Bytes of the file so far."""
        return self._writer.size

    def write(self, versions: pa.Table) -> None:
        """Append versions: a multiple of `group_rows`, or the last ones."""
        self._writer.write(versions, self.segment.group_rows)
        self.segment.versions.append(versions["v"].to_numpy())


class NewSegments:
    """Writes segments and records them."""

    def __init__(
        self, database: Database, writer: Writer, store: SegmentStore, terms: Terms
    ) -> None:
        self._database = database
        self._writer = writer
        self._store = store
        self._terms = terms
        self._in_progress: set[str] = set()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def draft(
        self, type_number: int, resource_type: str, schema: pa.Schema, group_rows: int
    ) -> Iterator[SegmentDraft]:
        """Write a segment in the block; its file is durable when it ends, and gone if it fails.

        It stays protected from `remove_begun` until `record` or `discard`.
        """
        name = str(uuid.uuid4())
        segment = NewSegment(name, type_number, resource_type, group_rows, [])
        with self._lock:
            self._in_progress.add(name)
        try:
            self._writer.run(
                lambda connection: connection.execute(
                    "INSERT INTO segment_begun VALUES (?, ?)", (name, type_number)
                )
            )
            key = self._store.keystore.add_segment_key(name)
            with segments.writing(self._store.files, resource_type, name, schema, key) as file:
                yield SegmentDraft(segment, file)
            segment.size, segment.sha256 = file.size, file.sha256
        except BaseException as failure:
            self.discard([segment])
            if isinstance(failure, OSError | pa.ArrowException):
                raise self._store.files.failure(failure) or file_refusal(failure) from None
            raise

    def record(
        self, connection: apsw.Connection, segment: NewSegment, run: int | None, max_v: int = 0
    ) -> int:
        """In the caller's transaction: from here on the segment holds its versions. Its number.

        `run` is that of the segments it is sorted together with (None: its own), `max_v` the least
        value of what it says to be its newest version.
        """
        v = segment.v
        connection.execute("DELETE FROM segment_begun WHERE file = ?", (segment.name,))
        connection.execute(
            "INSERT INTO segment (type, file, rows, group_rows, bytes, sha256, "
            f"min_v, max_v, state, run) VALUES (?, ?, ?, ?, ?, ?, ?, ?, {SETTLING}, ?)",
            (
                segment.type_number,
                segment.name,
                segment.rows,
                segment.group_rows,
                segment.size,
                segment.sha256,
                int(v.min()),
                max(int(v.max()), max_v),
                0 if run is None else run,
            ),
        )
        number = connection.last_insert_rowid()
        if run is None:
            connection.execute("UPDATE segment SET run = id WHERE id = ?", (number,))
        return number

    def recorded(self, drafts: list[NewSegment]) -> None:
        """The transaction that recorded them is durable."""
        with self._lock:
            self._in_progress.difference_update(segment.name for segment in drafts)

    def discard(self, drafts: list[NewSegment]) -> None:
        """Remove segments that are not going to be recorded; later, when that fails now."""
        self.recorded(drafts)
        if drafts:
            try:
                self.remove_begun()
            except Exception as failure:
                log.warning("an unfinished segment stays for now (%s)", type(failure).__name__)

    def remove_begun(self) -> None:
        """Remove files that were begun and neither recorded nor in progress; and keys of no file.

        Raises FhirError `unavailable` when their store cannot be reached.
        """
        # In this order: whoever has a key by now is in progress still, or in the database.
        keys = self._store.keystore.segment_names()
        with self._lock:
            in_progress = set(self._in_progress)
        with self._database.reading() as connection:
            known = {name for (name,) in connection.execute("SELECT file FROM segment")}
            known |= former_segments.kept(connection) | former_segments.doomed(connection)
            begun = [
                (name, self._terms.text(connection, number))
                for name, number in connection.execute("SELECT file, type FROM segment_begun")
                if name not in in_progress
            ]
        for name, resource_type in begun:
            try:
                self._store.files.delete(resource_type, name)
            except OSError as failure:
                raise self._store.files.failure(failure) or failure from None
        strange = keys - known - in_progress
        if strange:
            # A file that the database does not know may be of a later state than this database,
            # which was put back by hand: its key is not ours to destroy. `verify` names both.
            strange -= {
                file.rpartition("/")[2].removesuffix(SUFFIX) for file in self._store.files.list()
            }
        self._store.keystore.destroy_segment_keys(strange)
        if begun:
            self._writer.run(
                lambda connection: connection.executemany(
                    "DELETE FROM segment_begun WHERE file = ?", [(name,) for name, _ in begun]
                )
            )
