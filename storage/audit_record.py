"""What an audit row says: who did what to which resources, when, why, and how it ended.

Ids, types, names of parameters and categories of failure only: never a value, a name of a person, a
search text or a note. So the rows may outlive the patients that they are about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from schemas.structure import RESOURCE_TYPES
from storage.packed_ids import pack, unpack

MAX_LISTED = 1000
"""Most entities, and most patients, that one row lists; more are spread over several."""

ACTIONS = frozenset("CRUDE")
OUTCOMES = frozenset({0, 4, 8, 12})

# The value set http://terminology.hl7.org/ValueSet/v3-PurposeOfUse (codes of v3-ActReason).
PURPOSES = frozenset({
    "PurposeOfUse", "HMARKT", "HOPERAT", "CAREMGT", "DONAT", "FRAUD", "GOV", "HACCRED",
    "HCOMPL", "HDECD", "HDIRECT", "HDM", "HLEGAL", "HOUTCOMS", "HPRGRP", "HQUALIMP",
    "HSYSADMIN", "LABELING", "METAMGT", "MEMADMIN", "MILCDM", "PATADMIN", "PATSFTY",
    "PERFMSR", "RECORDMGT", "SYSDEV", "HTEST", "TRAIN", "HPAYMT", "CLMATTCH", "COVAUTH",
    "COVERAGE", "ELIGDTRM", "ELIGVER", "ENROLLM", "MILDCRG", "REMITADV", "HRESCH", "BIORCH",
    "CLINTRCH", "CLINTRCHNPC", "CLINTRCHPC", "PRECLINTRCH", "DSRCH", "POARCH", "TRANSRCH",
    "PATRQT", "FAMRQT", "PWATRNY", "SUPNWK", "PUBHLTH", "DISASTER", "THREAT", "TREAT",
    "CLINTRL", "COC", "ETREAT", "BTG", "ERTREAT", "POPHLTH",
})  # fmt: skip

# A type is its place in this list: R4 is closed, so it never changes (a test holds it).
_TYPES = tuple(sorted(RESOURCE_TYPES))
_TYPE_NUMBER = {name: number for number, name in enumerate(_TYPES)}

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Entity(NamedTuple):
    """A resource that was dealt with. `version` is 0 where none is known.

    `done` is C, R, U or D: what was done to this one; empty for what was only asked for.
    """

    resource_type: str
    id: str
    version: int = 0
    done: str = ""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One access or change, before it has a number and a moment.

    `action`: C, R, U, D or E. `name`: the FHIR interaction or the operation (`read`,
    `search-type`, `sql`). `outcome`: 0, 4 (refused), 8 or 12 (failed), as AuditEvent.outcome.
    `failure`: the category of the failure. `parameters`: names of search parameters, or the views
    of a SQL query. `results`: how many resources, rows or patients were given out, None where
    that has no meaning. `entity_count`, `patient_count`: 0 for as many as are listed.
    `recorded_us`: the moment of an access that comes into the log later; None: it is now.
    """

    action: str
    name: str
    agent: str
    outcome: int = 0
    failure: str = ""
    network: str = ""
    purpose: str = ""
    request_id: str = ""
    parameters: tuple[str, ...] = ()
    results: int | None = None
    entities: tuple[Entity, ...] = ()
    entity_count: int = 0
    patients: tuple[str, ...] = ()
    patient_count: int = 0
    recorded_us: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no AuditEvent can say (ValueError: a fault of the caller)."""
        if self.action not in ACTIONS or self.outcome not in OUTCOMES:
            raise ValueError("action is one of C R U D E, outcome one of 0 4 8 12")
        if self.purpose and self.purpose not in PURPOSES:
            raise ValueError("purpose is not a code of v3-PurposeOfUse")

    def about(
        self, entities: Sequence[Entity], patients: Iterable[str], action: str = ""
    ) -> list[AuditRecord]:
        """This record with the entities and patients that turned out to be concerned.

        `action`: what was done to them, where the record could not know it.

        More than one where there are more than `MAX_LISTED`: each lists its part and has the
        numbers of all, so that whoever asks about one patient misses nothing.
        """
        concerned = tuple(dict.fromkeys(patients))
        listed = tuple(entities)
        most = max(len(listed), len(concerned), 1)
        return [
            AuditRecord(
                action or self.action,
                self.name,
                self.agent,
                self.outcome,
                self.failure,
                self.network,
                self.purpose,
                self.request_id,
                self.parameters,
                self.results,
                listed[start : start + MAX_LISTED],
                len(listed),
                concerned[start : start + MAX_LISTED],
                len(concerned),
            )
            for start in range(0, most, MAX_LISTED)
        ]


class AuditRow(NamedTuple):
    """A numbered record as it is in the table; `t` is the commit it made, None for an access.

    `instant_us`: when it was appended. `accessed_us`: when the access was, where that was earlier
    (in a process that only reads); None otherwise.
    """

    n: int
    instant_us: int
    accessed_us: int | None
    t: int | None
    action: str
    outcome: int
    name: str
    agent: str
    detail: bytes
    hash: bytes

    @property
    def recorded_us(self) -> int:
        """The moment of the access or change: AuditEvent.recorded."""
        return self.instant_us if self.accessed_us is None else self.accessed_us

    def record(self) -> AuditRecord:
        """The record again."""
        network, purpose, request, params, results, failure, entities, patients = _read(self.detail)
        return AuditRecord(
            self.action,
            self.name,
            self.agent,
            self.outcome,
            failure,
            network,
            purpose,
            unpack(request),
            tuple(params),
            results,
            tuple(_entities(entities[1:])),
            entities[0],
            tuple(unpack(key) for key in patients[1:]),
            patients[0],
            self.accessed_us,
        )


def encode_detail(record: AuditRecord) -> bytes:
    """All of a record that has no column of its own, lean: UUIDs in 16 bytes, types as numbers."""
    entities: list[Any] = [record.entity_count or len(record.entities)]
    for entity in record.entities:
        number = _TYPE_NUMBER[entity.resource_type]
        entities += (number, pack(entity.id), entity.version, entity.done)
    return _encode(
        (
            record.network,
            record.purpose,
            pack(record.request_id),
            record.parameters,
            record.results,
            record.failure,
            entities,
            (record.patient_count or len(record.patients), *map(pack, record.patients)),
        )
    )


def _read(detail: bytes) -> list[Any]:
    found: list[Any] = _decode(detail)
    return found


def _entities(flat: list[Any]) -> Iterator[Entity]:
    for start in range(0, len(flat), 4):
        number, key, version, done = flat[start : start + 4]
        yield Entity(_TYPES[number], unpack(key), version, done)
