"""A segment all of whose work is done but for what only the writer knows: its numbers.

Versions have no `v`, commit, moment or number yet. A body has the stamp of a first version, with a
moment to be put in its place, so that giving a million bodies their moment is one copy of bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from storage.index import PreparedPart

NO_MOMENT = "0001-01-01T00:00:00.000Z"
"""Stands in a body where the moment of its commit goes: an instant has always 24 characters."""

STAMP = f'"versionId":"1","lastUpdated":"{NO_MOMENT}"'.encode()
_MOMENT_AT = STAMP.index(NO_MOMENT.encode())
_MOMENT_BYTES = len(NO_MOMENT)


@dataclass(slots=True)
class Bodies:
    """Bodies one after another: where each ends, and where in `content` its stamp begins."""

    content: bytes
    ends: np.ndarray
    stamps: np.ndarray

    def __len__(self) -> int:
        return len(self.ends)

    def parts(self, row: int) -> tuple[bytes, bytes]:
        """The bytes of a body before and after its stamp."""
        begin = int(self.ends[row - 1]) if row else 0
        at = int(self.stamps[row])
        return self.content[begin:at], self.content[at + len(STAMP) : int(self.ends[row])]

    def stamped(self, last_updated: str) -> pa.BinaryArray:
        """All bodies as first versions of one moment (a FHIR instant)."""
        moment = last_updated.encode()
        if len(moment) != _MOMENT_BYTES:
            raise ValueError(f"an instant has {_MOMENT_BYTES} characters")
        content = np.frombuffer(self.content, np.uint8).copy()
        places = self.stamps[:, None] + (_MOMENT_AT + np.arange(_MOMENT_BYTES))
        content[places] = np.frombuffer(moment, np.uint8)
        offsets = np.zeros(len(self.ends) + 1, np.int32)
        offsets[1:] = self.ends
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(content)]
        return pa.BinaryArray.from_buffers(pa.binary(), len(self.ends), buffers)


@dataclass(slots=True)
class PreparedSegment:
    """Resources of one type in the order of their segment, each id once.

    `keys` are the packed ids, `patients` whose record each belongs to; `flat` the type's flat
    columns as an Arrow IPC stream; `parts` the index blocks, of row numbers in the place of `v`.
    `definitions`: by which search parameters the blocks were made. `places`: of each row, its
    number among what was given to be prepared.
    """

    resource_type: str
    type_number: int
    keys: list[bytes | str]
    ids: list[str]
    patients: list[str | None]
    flat: bytes
    bodies: Bodies
    parts: Sequence[PreparedPart]
    definitions: int
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.keys)

    def columns(self) -> pa.Table:
        """The flat columns."""
        with pa.ipc.open_stream(self.flat) as reader:
            return reader.read_all()
