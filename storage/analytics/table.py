"""The answer to a SQL query, in memory, as rows, JSON-ready dicts, CSV, Parquet or Arrow."""

from __future__ import annotations

import base64
import csv
import datetime as dt
import io
import json
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


class Table:
    """Columns and rows of an answer.

    `truncated` is true when the query had more rows than were asked for: what is here is then the
    beginning of the answer, in the query's own order.

    Cells are written to CSV as they are. A text cell that begins with `=`, `+`, `-` or `@` is not
    altered, since it may be data that another program reads back; a spreadsheet should import
    such a column as text.
    """

    def __init__(self, arrow: pa.Table, *, truncated: bool = False) -> None:
        self.arrow = arrow
        self.truncated = truncated

    @property
    def columns(self) -> list[str]:
        """Column names in the query's order; they need not be unique."""
        return list(self.arrow.column_names)

    def __len__(self) -> int:
        return int(self.arrow.num_rows)

    def rows(self) -> list[tuple[Any, ...]]:
        """Each row as a tuple of Python values (aware UTC datetimes, Decimals, lists, dicts)."""
        return list(zip(*(column.to_pylist() for column in self.arrow.columns), strict=True))

    def to_dicts(self) -> list[dict[str, Any]]:
        """Each row as a JSON-ready dict.

        Dates and times are ISO 8601 with `Z` for UTC; bytes are text if they are UTF-8, else
        base64; NaN and infinities, which JSON lacks, are the strings `NaN`, `Infinity`,
        `-Infinity`. Of columns with the same name the later are numbered `name_2`, `name_3`.
        """
        names = _unique(self.columns)
        return [dict(zip(names, map(_plain, row), strict=True)) for row in self.rows()]

    def csv(self) -> str:
        """RFC 4180 text with a header line; NULL is an empty cell, lists and objects are JSON."""
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(self.columns)
        for row in self.rows():
            writer.writerow(["" if cell is None else _cell(_plain(cell)) for cell in row])
        return out.getvalue()

    def parquet_bytes(self) -> bytes:
        """A Parquet file (zstd). It is plaintext: whoever stores it answers for it."""
        out = pa.BufferOutputStream()
        pq.write_table(_renamed(self.arrow), out, compression="zstd")
        return out.getvalue().to_pybytes()

    def arrow_bytes(self) -> bytes:
        """An Arrow IPC stream."""
        out = pa.BufferOutputStream()
        with pa.ipc.new_stream(out, self.arrow.schema) as writer:
            writer.write_table(self.arrow)
        return out.getvalue().to_pybytes()


def _unique(names: list[str]) -> list[str]:
    taken = set(names)
    seen: set[str] = set()
    unique = []
    for name in names:
        number, candidate = 1, name
        while candidate in seen or (number > 1 and candidate in taken):
            number += 1
            candidate = f"{name}_{number}"
        seen.add(candidate)
        unique.append(candidate)
    return unique


def _renamed(arrow: pa.Table) -> pa.Table:
    return arrow.rename_columns(_unique(list(arrow.column_names)))


def _plain(value: Any) -> Any:
    """One value as JSON has it; Decimals stay, for whoever writes them without loss."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            if math.isfinite(value):
                return value
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case Decimal():
            return int(value) if value.as_tuple().exponent == 0 else value
        case dt.datetime():
            return iso_instant(value)
        case dt.date() | dt.time():
            return value.isoformat()
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return base64.b64encode(value).decode()
        case pa.MonthDayNano():
            return _duration(value)
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {key: _plain(item) for key, item in value.items()}
    return str(value)


def _duration(value: Any) -> str:
    seconds = Decimal(value.nanoseconds) / 1_000_000_000
    return f"P{value.months}M{value.days}DT{seconds.normalize():f}S"


def iso_instant(value: dt.datetime) -> str:
    """ISO 8601 with as many fractional digits as there are; `Z` where a zone is known."""
    if value.tzinfo is None:
        return value.isoformat()
    return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat() + "Z"


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value
