"""Bodies of a segment by row, decoding only the page that a body is in.

A row group has thousands of rows, a page about 64 KiB of bodies: decrypting and decompressing one
takes a tenth of a millisecond. The file's own column index would be read for nothing: the lengths
before the pages lead from one to the next.
"""

from __future__ import annotations

import struct
import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage.compact_structs import read_struct
from storage.parquet_modules import (
    DATA_PAGE,
    DATA_PAGE_HEADER,
    DamagedModule,
    ModuleCipher,
    module_cipher,
    module_end,
)

if TYPE_CHECKING:
    from storage.segments import SegmentFile

_COLUMN = "body"
_ZSTD = pa.Codec("zstd")
_length = struct.Struct("<I").unpack_from

# Numbers that parquet.thrift gives to what this reads.
_PLAIN = 0
_DATA_PAGE_V1 = 0


class Page:
    """The bodies of one page, decompressed."""

    __slots__ = ("_data", "_ends")

    def __init__(self, data: bytes, rows: int) -> None:
        """`data` has each body after its length. Raises `DamagedModule`."""
        ends, at = [0], 0
        try:
            for _ in range(rows):
                at += 4 + _length(data, at)[0]
                ends.append(at)
        except struct.error:
            at = -1
        if at != len(data):
            raise DamagedModule("the bodies of a page do not add up")
        self._data, self._ends = data, ends

    @property
    def size_bytes(self) -> int:
        """Memory that it holds, about."""
        return len(self._data) + 40 * len(self._ends)

    def body(self, row: int) -> bytes:
        """The body in a row of the page."""
        return self._data[self._ends[row] + 4 : self._ends[row + 1]]


@dataclass(frozen=True, slots=True)
class _Chunk:
    """The bodies of a row group in the file."""

    offset: int
    size: int
    rows: int


@dataclass(frozen=True, slots=True)
class _PageTable:
    """Where each page of a row group begins, in rows and in bytes of the file, and its size."""

    first_rows: list[int]
    offsets: list[int]
    sizes: list[int]
    plain_sizes: list[int]


class BodyPages:
    """The pages of one opened segment. For many threads; closed by whoever opened it."""

    def __init__(self, segment: SegmentFile) -> None:
        """Reads the footer. Raises OSError, ArrowException or ValueError."""
        with segment.open(pre_buffer=False) as opened:
            self._column, self._chunks = _chunks(opened)
        self._ends = list(accumulate(chunk.rows for chunk in self._chunks))
        self._tables: dict[int, _PageTable] = {}
        self._lock = threading.Lock()
        self._file = segment.filesystem.open_input_file(segment.path)
        try:
            self._cipher: ModuleCipher = module_cipher(
                self._read, self._file.size(), segment.unwrap_data_key
            )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def read(self, rows: Iterable[int]) -> Iterator[bytes]:
        """The bodies in some rows of the file, in their order: a page is decoded once for rows
        that follow each other in it. Raises as `page` does."""
        group = number = -1
        page: Page | None = None
        for row in rows:
            found = bisect_right(self._ends, row)
            if row < 0 or found == len(self._ends):
                raise DamagedModule("the segment has no such row")
            place, row = self.locate(found, row - (self._ends[found - 1] if found else 0))
            if page is None or (found, place) != (group, number):
                group, number = found, place
                page = self.page(group, number)
            yield page.body(row)

    def locate(self, group: int, row: int) -> tuple[int, int]:
        """Which page of a row group a row is in, and which row of that page it is."""
        table = self._table(group)
        if not 0 <= row < self._chunks[group].rows:
            raise DamagedModule("the segment has no such row")
        page = bisect_right(table.first_rows, row) - 1
        return page, row - table.first_rows[page]

    def page(self, group: int, page: int) -> Page:
        """A page, decrypted. Raises OSError, ArrowException or `DamagedModule`."""
        table, chunk = self._table(group), self._chunks[group]
        data = self._read(table.offsets[page], table.sizes[page])
        packed = self._cipher.module(data, 0, DATA_PAGE, group, self._column, page)
        plain = _ZSTD.decompress(packed, decompressed_size=table.plain_sizes[page], asbytes=True)
        following = table.first_rows[page + 1 : page + 2] or [chunk.rows]
        return Page(plain, following[0] - table.first_rows[page])

    def _read(self, offset: int, size: int) -> bytes:
        data: bytes = self._file.read_at(size, offset)
        return data

    def _table(self, group: int) -> _PageTable:
        table = self._tables.get(group)
        if table is None:
            with self._lock:
                table = self._tables.get(group)
                if table is None:
                    table = self._tables[group] = self._page_table(group)
        return table

    def _page_table(self, group: int) -> _PageTable:
        """Go through the row group once. Its bytes are read, but of the pages only the headers."""
        chunk = self._chunks[group]
        data = memoryview(self._read(chunk.offset, chunk.size))
        table = _PageTable([], [], [], [])
        at = row = 0
        while row < chunk.rows:
            page = len(table.offsets)
            header = self._cipher.module(data, at, DATA_PAGE_HEADER, group, self._column, page)
            begin = module_end(data, at)
            at = module_end(data, begin)
            rows, plain_size = _header(header)
            table.first_rows.append(row)
            table.offsets.append(chunk.offset + begin)
            table.sizes.append(at - begin)
            table.plain_sizes.append(plain_size)
            row += rows
        if row != chunk.rows:
            raise DamagedModule("the pages of the file do not add up")
        return table


def _header(data: bytes) -> tuple[int, int]:
    """Rows of a page, and its size when decompressed."""
    fields: dict[int, Any] = read_struct(data)[0]
    about = fields.get(5)
    if fields.get(1) != _DATA_PAGE_V1 or about is None or about.get(2) != _PLAIN:
        raise DamagedModule("a page of the file is of a kind that this lake does not write")
    rows, plain_size = about[1], fields[2]
    if rows <= 0 or plain_size < 0:
        raise DamagedModule("a page of the file has no rows")
    return rows, plain_size


def _chunks(file: pq.ParquetFile) -> tuple[int, list[_Chunk]]:
    """The number of the column, and where it lies in each row group."""
    metadata, schema = file.metadata, file.schema
    column = schema.names.index(_COLUMN)
    described = schema.column(column)
    if described.max_definition_level or described.max_repetition_level:
        raise DamagedModule("bodies that may be missing are not what this lake writes")
    found = []
    for group in range(metadata.num_row_groups):
        chunk = metadata.row_group(group).column(column)
        if chunk.compression != "ZSTD" or chunk.has_dictionary_page:
            raise DamagedModule("bodies are stored in another way than this lake writes")
        found.append(_Chunk(chunk.data_page_offset, chunk.total_compressed_size, chunk.num_values))
    return column, found
