"""The segments of a lake: their states, their keys, who reads them, and the bodies in them."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import apsw
import pyarrow as pa

from schemas.outcomes import FhirError, error
from storage import segments
from storage.body_pages import BodyPages, Page
from storage.database import Database
from storage.keystore import Keystore
from storage.segment_files import SegmentFiles
from storage.segments import SegmentFile

# What a segment is for readers (`segment.state`).
SETTLING = 0  # its versions are being pointed to it; analytic queries read it
LIVE = 1
RETIRED = 2  # others have its rows; its file waits until no one can be reading it

# Opened files kept for the next read: opening one costs as much as decoding twenty pages.
_OPEN_FILES = 256

# Decoded pages, kept in memory for reads of neighbours (a patient's resources lie together).
CACHE_BYTES = 64 * 2**20

_COLUMNS = "s.id, t.text, s.file, s.rows, s.group_rows"
_FROM = "segment s JOIN term t ON t.id = s.type"


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of the database."""

    id: int
    resource_type: str
    group_rows: int
    file: SegmentFile


class SegmentStore:
    """Opens segments; decodes and caches pages of bodies; knows which are being read."""

    def __init__(self, files: SegmentFiles, keystore: Keystore, database: Database) -> None:
        self.files = files
        self.keystore = keystore
        self._database = database
        self._segments: dict[int, Segment] = {}
        self._removed: set[int] = set()
        self._pins: Counter[int] = Counter()
        self._unpinned: deque[int] = deque()
        self._opened: OrderedDict[int, BodyPages] = OrderedDict()
        self._pages: OrderedDict[tuple[int, int, int], Page] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def of_type(self, connection: apsw.Connection, type_number: int) -> list[Segment]:
        """The segments that hold the flushed versions of a type, each version once."""
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM {_FROM} WHERE s.type = ? AND s.state <> {RETIRED} "
            "ORDER BY s.id",
            (type_number,),
        )
        return [self._segment(row) for row in rows]

    def all(self, connection: apsw.Connection) -> list[Segment]:
        """The segments of every type, as `of_type` gives them."""
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM {_FROM} WHERE s.state <> {RETIRED} ORDER BY s.id"
        )
        return [self._segment(row) for row in rows]

    def get(self, connection: apsw.Connection, segment: int) -> Segment:
        """A segment by its number, also a retired one. FhirError `conflict` when it was erased."""
        found = self._segments.get(segment)
        if found is None:
            row: Any = connection.execute(
                f"SELECT {_COLUMNS} FROM {_FROM} WHERE s.id = ?", (segment,)
            ).get
            if row is None:
                raise _erased()
            found = self._segment(row)
        return found

    def bodies(
        self, connection: apsw.Connection, segment: int, rows: Sequence[int]
    ) -> dict[int, bytes]:
        """The bodies in some rows of a segment.

        Raises FhirError: `internal` (it is damaged), `unavailable` (its store cannot be reached),
        `conflict` (it was erased while the reader was on its way).
        """
        found = self.get(connection, segment)
        try:
            pages = self._open(found)
            out: dict[int, bytes] = {}
            for row_number in rows:
                group, row = divmod(row_number, found.group_rows)
                page, row = pages.locate(group, row)
                out[row_number] = self._page(found, pages, group, page).body(row)
        except (OSError, ValueError, pa.ArrowException) as failure:
            raise found.file.failure(failure) from None
        return out

    # Who reads which segment

    def pin(self, ids: Collection[int]) -> bool:
        """Keep the files of some segments until `unpin`; False when one of them is gone already."""
        with self._lock:
            if not self._removed.isdisjoint(ids):
                return False
            self._pins.update(ids)
            return True

    def unpin(self, ids: Iterable[int]) -> None:
        """Let go of what was pinned. Takes no lock: it is called by the garbage collector."""
        self._unpinned.extend(ids)

    def take_out(self, wanted: Iterable[int], *, pinned: bool) -> list[int]:
        """Refuse further readers of some segments, and forget their keys, files and bodies.

        Those that a snapshot has pinned are left out, unless `pinned`. Returns what was taken out.
        """
        with self._lock:
            while self._unpinned:
                self._pins[self._unpinned.popleft()] -= 1
            taken = [id for id in wanted if pinned or self._pins[id] <= 0]
            self._removed.update(taken)
            for key in [key for key in self._pages if key[0] in self._removed]:
                self._bytes -= self._pages.pop(key).size_bytes
            for id in taken:
                self._segments.pop(id, None)
                # Not closed: another thread may be reading. It is, when the last of them is done.
                self._opened.pop(id, None)
                del self._pins[id]
        return taken

    def explain(self, file: SegmentFile, exception: BaseException) -> FhirError:
        """What reading a segment failed of; see `SegmentFile.failure`."""
        if isinstance(exception, FhirError) and exception.category != "internal":
            return exception
        with self._database.reading() as connection:
            state = connection.execute("SELECT state FROM segment WHERE file = ?", (file.name,)).get
        if state is None or state == RETIRED:
            return _erased()
        unreachable = self.files.failure(exception)
        if unreachable is not None:
            return unreachable
        if isinstance(exception, FhirError):
            return exception
        return error(
            "internal",
            f"Segment {file.name} of {file.resource_type} cannot be read "
            f"({type(exception).__name__}). Run `chartlake verify`.",
        )

    def close(self) -> None:
        """Forget keys, opened files and decoded bodies."""
        with self._lock:
            self._opened.clear()
            self._segments.clear()
            self._pages.clear()
            self._bytes = 0

    def _segment(self, row: Sequence[Any]) -> Segment:
        id, resource_type, name, rows, group_rows = row
        found = self._segments.get(id)
        if found is not None:
            return found
        file = SegmentFile(
            name,
            resource_type,
            self.files.filesystem,
            self.files.path(resource_type, name),
            self.files.cache_key(resource_type, name),
            None,
            rows,
            self.explain,
        )
        try:
            key = self.keystore.segment_key(name)
        except FhirError as failure:
            raise self.explain(file, failure) from None
        file = replace(
            file,
            decryption_properties=segments.decryption_properties(name, key),
            unwrap_data_key=segments.data_key_unwrapper(name, key),
        )
        segment = Segment(id, resource_type, group_rows, file)
        with self._lock:
            if id not in self._removed:
                segment = self._segments.setdefault(id, segment)
        return segment

    def _open(self, segment: Segment) -> BodyPages:
        with self._lock:
            pages = self._opened.get(segment.id)
            if pages is not None:
                self._opened.move_to_end(segment.id)
                return pages
        pages = segment.file.open_bodies()
        with self._lock:
            if segment.id not in self._removed:
                self._opened[segment.id] = pages
                while len(self._opened) > _OPEN_FILES:
                    self._opened.popitem(last=False)
        return pages

    def _page(self, segment: Segment, pages: BodyPages, group: int, number: int) -> Page:
        key = (segment.id, group, number)
        with self._lock:
            page = self._pages.get(key)
            if page is not None:
                self._pages.move_to_end(key)
                return page
        page = pages.page(group, number)
        with self._lock:
            if key not in self._pages and segment.id not in self._removed:
                self._pages[key] = page
                self._bytes += page.size_bytes
            while self._bytes > CACHE_BYTES and len(self._pages) > 1:
                _, dropped = self._pages.popitem(last=False)
                self._bytes -= dropped.size_bytes
        return page


def _erased() -> FhirError:
    return error("conflict", "What was asked for was erased while it was read; ask again.")
