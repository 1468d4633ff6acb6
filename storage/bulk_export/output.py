"""The files of an export as they are written: one type a file, split where they grow large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage.bulk_export.export_files import ExportFiles, ExportWriter

MAX_FILE_BYTES = 256 * 2**20
"""Content after which a further file of the type is begun."""


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A finished file. `kind`: its resource type, empty for files of several."""

    name: str
    kind: str
    count: int
    bytes: int

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {"name": self.name, "type": self.kind, "count": self.count, "bytes": self.bytes}


class NdjsonOutput:
    """Lines of resources of one type (or patients' records), over as many files as it takes."""

    def __init__(
        self, files: ExportFiles, export: str, key: str, name: str, *, kind: str | None = None
    ) -> None:
        """`name` begins the files' names; `kind`: what they say to hold, `name` where None."""
        self._files, self._export, self._key = files, export, key
        self._name = name
        self._kind = name if kind is None else kind
        self._writer: ExportWriter | None = None
        self._count = 0
        self.written: list[ExportedFile] = []

    def add(self, lines: Sequence[bytes], *, count: int | None = None) -> None:
        """Write lines (without their ends). `count`: how many of them are resources (None: all)."""
        if not lines:
            return
        if self._writer is None:
            self._writer = self._files.create(self._export, self._file_name(), self._key)
        self._writer.write(b"\n".join(lines) + b"\n")
        self._count += len(lines) if count is None else count
        if self._writer.size >= MAX_FILE_BYTES:
            self.close()

    def close(self) -> None:
        """Finish the file in hand."""
        if self._writer is None:
            return
        self._writer.close()
        self.written.append(
            ExportedFile(self._file_name(), self._kind, self._count, self._writer.size)
        )
        self._writer, self._count = None, 0

    def abandon(self) -> None:
        """Let go of the file in hand."""
        if self._writer is not None:
            self._writer.abandon()

    def _file_name(self) -> str:
        return f"{self._name}.{len(self.written) + 1}.ndjson"


class ParquetOutput:
    """Rows of one type, with the columns of its view, as encrypted-at-rest Parquet files."""

    def __init__(self, files: ExportFiles, export: str, key: str, name: str) -> None:
        self._files, self._export, self._key, self._name = files, export, key, name
        self._stream: ExportWriter | None = None
        self._parquet: pq.ParquetWriter | None = None
        self._count = 0
        self.written: list[ExportedFile] = []

    def add_rows(self, table: pa.Table) -> None:
        """Write rows; all tables have the same columns."""
        if self._parquet is None:
            self._stream = self._files.create(self._export, self._file_name(), self._key)
            self._parquet = pq.ParquetWriter(
                pa.PythonFile(self._stream, mode="w"), table.schema, compression="zstd"
            )
        self._parquet.write_table(table)
        self._count += table.num_rows
        if self._stream is not None and self._stream.size >= MAX_FILE_BYTES:
            self.close()

    def close(self) -> None:
        """Finish the file in hand."""
        if self._parquet is None or self._stream is None:
            return
        self._parquet.close()
        self._stream.close()
        self.written.append(
            ExportedFile(self._file_name(), self._name, self._count, self._stream.size)
        )
        self._stream = self._parquet = None
        self._count = 0

    def abandon(self) -> None:
        """Let go of the file in hand."""
        if self._stream is not None:
            self._stream.abandon()

    def _file_name(self) -> str:
        return f"{self._name}.{len(self.written) + 1}.parquet"
