"""The order of a search that asks for none, where a lake is large: by patient, then by `v`.

Segments are sorted by patient. So the first page of a search over many parts is found in the first
parts that have matches, and the next one right after it, however large the lake is. The order does
not depend on how versions lie in segments: it is that of the patients' ids, as texts, and of the
numbers of versions; resources of no patient come last.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import apsw
import numpy as np

from storage.index.part_map import Part
from storage.packed_ids import unpack
from storage.query.flushed import FlushedMatches
from storage.query.matches import Matches

# Up to here, every part is looked at, and the order is that of `v`.
FEW_PARTS = 4

# After any id.
_NOBODY = b"\xff"

Key = tuple[bytes, int]
"""Where a version stands: the patient's id, and `v`."""


@dataclass(frozen=True, slots=True)
class PatientRows:
    """Whose each row of a part is: the place of its patient among `patients` (ascending).

    `ascending`: the rows are in the order of their patients.
    """

    patients: list[bytes]
    places: np.ndarray
    ascending: bool

    @property
    def nbytes(self) -> int:
        """Bytes held in memory, about."""
        return int(self.places.nbytes) + 80 * len(self.patients)


def key_of(connection: apsw.Connection, v: int) -> Key | None:
    """Where a version stands; None when it is no longer there."""
    row: Any = connection.execute(
        "SELECT w.packed FROM version r LEFT JOIN patient w ON w.id = r.patient WHERE r.v = ?",
        (v,),
    ).fetchall()
    return (_text(row[0][0]), v) if row else None


def first(
    connection: apsw.Connection,
    matches: Matches,
    count: int,
    after: Key | None,
    *,
    descending: bool,
) -> list[Key]:
    """The first `count` matches of those after a key, in the order or (descending) against it."""
    found = _of_hot(connection, matches, after, descending)
    found = sorted(found, reverse=descending)[:count]
    flushed = matches.flushed
    ranges = _ranges(flushed, descending)
    possible = {part.id for part in flushed.parts} if len(flushed.parts) < len(ranges) else None
    for nearest, farthest, part in ranges:
        if possible is not None and part.id not in possible:
            continue
        if after is not None and (farthest > after[0] if descending else farthest < after[0]):
            continue
        if len(found) >= count:
            last = found[count - 1][0]
            if last > nearest if descending else last < nearest:
                break
        found += _of_part(flushed, part, count, after, descending)
        found.sort(reverse=descending)
        del found[count:]
    return found


def _ranges(flushed: FlushedMatches, descending: bool) -> list[tuple[bytes, bytes, Part]]:
    """Between which patients each part of the type is, in the order that pages go through them."""
    known = flushed.all_parts
    found = known.by_patient.get(descending)
    if found is None:
        ends = [(*flushed.patient_ends(part, _read_ends), part) for part in known.parts]
        found = [(last, first, part) for first, last, part in ends] if descending else ends
        found.sort(key=lambda one: one[0], reverse=descending)
        known.by_patient[descending] = found
    return found


def _of_hot(
    connection: apsw.Connection, matches: Matches, after: Key | None, descending: bool
) -> list[Key]:
    rows: list[Any] = connection.execute(
        "SELECT w.packed, r.v FROM version r LEFT JOIN patient w ON w.id = r.patient "
        f"WHERE {matches.hot.sql}",
        matches.hot.args,
    ).fetchall()
    keys = [(_text(packed), v) for packed, v in rows]
    if after is None:
        return keys
    return [key for key in keys if (key < after if descending else key > after)]


def _of_part(
    flushed: FlushedMatches, part: Part, count: int, after: Key | None, descending: bool
) -> list[Key]:
    rows = flushed.rows(part)
    if not len(rows):
        return []
    whose = flushed.patient_rows(part, read_patients)
    v, places = flushed.versions(part), whose.places[rows]
    if after is not None:
        place = bisect_left(whose.patients, after[0])
        same = place < len(whose.patients) and whose.patients[place] == after[0]
        if descending:
            kept = places < place
        else:
            kept = places > place if same else places >= place
        if same:
            kept |= (places == place) & (v < after[1] if descending else v > after[1])
        v, places = v[kept], places[kept]
    if whose.ascending and len(v) > count:
        # Whole patients, as many as are needed.
        if descending:
            begin = np.searchsorted(places, places[-count], side="left")
            v, places = v[begin:], places[begin:]
        else:
            end = np.searchsorted(places, places[count - 1], side="right")
            v, places = v[:end], places[:end]
    order = np.lexsort((v, places))
    order = order[::-1][:count] if descending else order[:count]
    return [
        (whose.patients[place], number)
        for place, number in zip(places[order].tolist(), v[order].tolist(), strict=True)
    ]


def read_patients(connection: apsw.Connection, versions: np.ndarray) -> PatientRows:
    """Whose the rows of a part are, which are `versions`."""
    rows: list[Any] = connection.execute(
        "SELECT r.v, r.patient FROM carray(?) a CROSS JOIN version r ON r.v = a.value",
        (apsw.carray(np.ascontiguousarray(versions)),),
    ).fetchall()
    known = dict(rows)
    # What was erased a moment ago matches nothing: it may stand for the patient before it.
    numbers = np.zeros(len(versions), np.int64)
    number = next((known[v] or 0 for v in versions.tolist() if v in known), 0)
    for row, v in enumerate(versions.tolist()):
        number = known.get(v, number) or 0
        numbers[row] = number
    distinct, inverse = np.unique(numbers, return_inverse=True)
    named: list[Any] = connection.execute(
        "SELECT w.id, w.packed FROM carray(?) a CROSS JOIN patient w ON w.id = a.value",
        (apsw.carray(distinct),),
    ).fetchall()
    packed = dict(named)
    texts = [_text(packed.get(number)) for number in distinct.tolist()]
    patients = sorted(set(texts))
    place_of = np.array([bisect_left(patients, text) for text in texts], np.int32)
    places = place_of[inverse]
    return PatientRows(patients, places, bool((np.diff(places) >= 0).all()))


def _read_ends(connection: apsw.Connection, versions: np.ndarray) -> tuple[bytes, bytes]:
    """The first and the last patient of a part, which has its rows in their order."""
    whose = read_patients(connection, versions[[0, -1]])
    present = connection.execute(
        "SELECT count(*) FROM version WHERE v IN (?, ?)", (int(versions[0]), int(versions[-1]))
    ).get
    if present < len({int(versions[0]), int(versions[-1])}):
        whose = read_patients(connection, versions)
    return whose.patients[0], whose.patients[-1]


def _text(packed: bytes | str | None) -> bytes:
    return _NOBODY if packed is None else unpack(packed).encode()
