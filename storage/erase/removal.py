"""The point of no return: one transaction after which no reader finds what was erased.

Version rows, hot bodies and counts go at once. What cannot go as fast is noted by its `v` in
`erased_version`: rows of the search index, which nothing leads to without their versions, and rows
in segments, which analytic queries leave out as long as they are noted.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

import apsw

from schemas.outcomes import error
from storage import jobs
from storage.commit import Position
from storage.erase.all_bodies import hot_bodies
from storage.erase.ownership import OWN
from storage.erase.references import Key, shown
from storage.erase.selection import Selection, version_rows
from storage.erase.target import Target, binaries
from storage.terms import Terms

EXAMPLES = 20
"""Resources named in a result, of each kind."""

LAST_V = "last_v"
"""Row of table `lake`: the greatest `v` that was ever given, so that none is given twice."""

FIRST_STEP = "segments"

_ERASED = "(erased)"
_NAME = re.compile(r"[A-Z][A-Za-z]{2,40}/[A-Za-z0-9\-.]{1,64}")


class SelectionChanged(Exception):
    """What was written meanwhile changes what is to be erased in a way that needs another look."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What the transaction took out."""

    keys: frozenset[Key]
    result: dict[str, Any]


def remove(
    connection: apsw.Connection,
    position: Position,
    terms: Terms,
    target: Target,
    selection: Selection,
    job_id: str,
) -> Removed:
    """Take the selection out of the database, as a commit of its own in the log.

    Nothing may be flushed between the selection and this. Raises SelectionChanged, JobCancelled,
    FhirError `not-found` when nothing is there any more.
    """
    request = jobs.read(connection, job_id).request
    reason = request["reason"]
    keys = selection.keys | _written_meanwhile(connection, terms, target, selection)
    versions, patients, counted = _take_out(connection, position, terms, keys)
    if not versions:
        raise error("not-found", "Nothing of what was to be erased is there.")
    position.t += 1
    position.instant_us = max(time.time_ns() // 1_000_000 * 1000, position.instant_us)
    connection.execute(
        "INSERT INTO commit_log (t, instant_us, first_v) VALUES (?, ?, ?)",
        (position.t, position.instant_us, position.v + 1),
    )
    connection.execute(
        "INSERT INTO lake VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (LAST_V, str(position.v)),
    )
    connection.execute(
        "INSERT INTO erasure (t, instant_us, kind, versions, reason, job) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (position.t, position.instant_us, target.kind, versions, reason, job_id),
    )
    result = {
        "kind": target.kind,
        "t": position.t,
        "resources": dict(sorted(counted.items())),
        "versions": versions,
        "shared": _named(selection.shared - keys),
        "referring": _named(key for key in selection.referring if key not in keys),
    }
    jobs.write(
        connection,
        job_id,
        request={"reason": reason, "agent": request["agent"]},
        progress={
            "step": FIRST_STEP,
            jobs.IRREVOCABLE: True,
            "patients": patients,
            "result": result,
            "text": f"{versions} versions removed; making older copies unreadable",
        },
    )
    _forget_in_jobs(connection, keys)
    return Removed(frozenset(keys), result)


def _written_meanwhile(
    connection: apsw.Connection, terms: Terms, target: Target, selection: Selection
) -> set[Key]:
    """Resources to be erased that were written after the selection; they are all hot."""
    added: set[Key] = set()
    needle = target.needle
    for batch in hot_bodies(connection, terms, selection.last_v):
        for key, body in batch:
            known = key in selection.keys
            if not known:
                of_patient = needle is not None and needle in body
                takes = of_patient and target.of_patient(body) == OWN
                if not takes and not target.follows(key, body, selection.keys):
                    continue
                if key not in added and _is_older(connection, terms, key, selection.last_v):
                    raise SelectionChanged
                added.add(key)
            if not binaries(body) <= selection.keys | selection.attached:
                raise SelectionChanged
    return added


def _is_older(connection: apsw.Connection, terms: Terms, key: Key, v: int) -> bool:
    """Whether versions of a resource were there at the selection, which did not take it."""
    rows = version_rows(connection, terms, [key], "r.v")
    return any(int(str(found)) <= v for (found,) in rows)


def _take_out(
    connection: apsw.Connection, position: Position, terms: Terms, keys: Collection[Key]
) -> tuple[int, list[int], Counter[str]]:
    """Delete the rows of all versions: how many, of which patients, and resources by type."""
    vs: list[tuple[int, int]] = []
    patients: set[int] = set()
    counted: Counter[str] = Counter()
    seen: set[Key] = set()
    columns = "r.v, r.type, r.t_end, r.deleted, r.patient"
    for key in keys:
        rows: Any = version_rows(connection, terms, [key], columns)
        for v, type_number, t_end, deleted, patient in rows:
            vs.append((v, type_number))
            if patient is not None:
                patients.add(patient)
            if key not in seen:
                seen.add(key)
                counted[key[0]] += 1
            if t_end is None and not deleted:
                position.counts[type_number] -= 1
    for v, _ in vs:
        size = connection.execute("SELECT length(body) FROM hot_body WHERE v = ?", (v,)).get
        if size is not None:
            position.hot_rows -= 1
            position.hot_bytes -= int(size)
    numbered = [(v,) for v, _ in vs]
    connection.executemany("DELETE FROM hot_body WHERE v = ?", numbered)
    connection.executemany("DELETE FROM version WHERE v = ?", numbered)
    connection.executemany("INSERT OR IGNORE INTO erased_version VALUES (?, ?)", vs)
    return len(vs), sorted(patients), counted


def _named(keys: Any) -> dict[str, Any]:
    """How many, by type, and some of them by name."""
    found = sorted(keys)
    return {
        "total": len(found),
        "types": dict(sorted(Counter(resource_type for resource_type, _ in found).items())),
        "examples": [shown(key) for key in found[:EXAMPLES]],
    }


def _forget_in_jobs(connection: apsw.Connection, keys: Collection[Key]) -> None:
    """Take what is erased out of what jobs say, and finished ones were asked.

    What an unfinished job was asked stays as long as it needs it (`jobs.VALUES`).
    """
    names = {shown(key) for key in keys}
    rows: Any = connection.execute(
        "SELECT id, state, request, progress, result FROM job"
    ).fetchall()
    for id, state, request, *said in rows:
        known = [request, *said]
        changed = [text and json.dumps(_without(json.loads(text), names)) for text in known]
        if state not in jobs.FINISHED:
            changed[0] = request
        if changed != known:
            connection.execute(
                "UPDATE job SET request = ?, progress = ?, result = ? WHERE id = ?", (*changed, id)
            )


def _without(value: Any, names: set[str]) -> Any:
    if isinstance(value, dict):
        return {name: _without(member, names) for name, member in value.items()}
    if isinstance(value, list):
        return [_without(member, names) for member in value]
    return _NAME.sub(partial(_unless, names), value) if isinstance(value, str) else value


def _unless(names: set[str], found: re.Match[str]) -> str:
    """What stands in a text for something like `Type/id`: at the end of a sentence, with a dot."""
    name = found[0].rstrip(".")
    return _ERASED + found[0][len(name) :] if name in names else found[0]
