"""The trail of what is going on: who asks, and what the lake gave them so far.

The edge makes an `AuditTrail` for each request or command and has it `active` meanwhile. The lake
then notes by itself which versions were read, and takes the trail as the record of a change: no
surface can forget to. A context variable carries it, also into the threads that requests run in;
threads that the product starts for itself have none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field, replace
from typing import Any

from schemas.search_params import search_params
from schemas.structure import RESOURCE_TYPES
from storage.audit_record import AuditRecord, Entity

_CURRENT: ContextVar[AuditTrail | None] = ContextVar("chartlake_audit_trail", default=None)

# Bounds of memory: an export of more patients than this counts no further ones.
_REMEMBERED_ENTITIES = 10_000
_REMEMBERED_PATIENTS = 1_000_000


_MAX_PARAMETERS = 100

# Parameters of all types, and of results. https://hl7.org/fhir/R4/search.html#Summary
_COMMON = frozenset({
    "_id", "_lastUpdated", "_tag", "_profile", "_security", "_source", "_text", "_content", "_list",
    "_has", "_type", "_query", "_filter", "_sort", "_count", "_total", "_include", "_revinclude",
    "_summary", "_elements", "_contained", "_containedType", "_cursor", "_format", "_pretty",
})  # fmt: skip


@dataclass
class AuditTrail:
    """One request or command; its attributes are those of `AuditRecord`.

    `target` is what the address names, whether it was found or not. `lists_entities`: the record
    lists each resource that was given out (a read); otherwise (a search, an export) it counts them
    as results and lists their patients.
    """

    agent: str
    name: str
    action: str
    network: str = ""
    purpose: str = ""
    request_id: str = ""
    parameters: tuple[str, ...] = ()
    target: Entity | None = None
    lists_entities: bool = True
    failure: str = ""
    results: int | None = None
    changes: int = 0
    _seen: dict[Entity, None] = field(default_factory=dict)
    _beyond: int = 0
    _patients: dict[str, None] = field(default_factory=dict)
    _finished: list[AuditRecord] = field(default_factory=list)

    @contextmanager
    def active(self) -> Iterator[AuditTrail]:
        """Have the lake note to this trail what this thread (or task) does with it."""
        token = self.activate()
        try:
            yield self
        finally:
            deactivate(token)

    def activate(self) -> Token[AuditTrail | None]:
        """The same, until `deactivate` is called with what this returns."""
        return _CURRENT.set(self)

    @contextmanager
    def part(
        self,
        name: str,
        action: str,
        target: Entity | None = None,
        parameters: tuple[str, ...] = (),
    ) -> Iterator[AuditTrail]:
        """One entry of a batch: an interaction of its own, recorded together with the batch.

        It was refused when its `failure` is set at the end.
        """
        inner = replace(
            self,
            name=name,
            action=action,
            target=target,
            parameters=parameters,
            lists_entities=name != "search-type",
            failure="",
            results=None,
            changes=0,
            _seen={},
            _beyond=0,
            _patients={},
            _finished=[],
        )
        with inner.active():
            yield inner
        self._finished += inner.finish(outcome_of(inner.failure))

    def saw(self, entities: Sequence[Entity], patients: Iterable[str]) -> None:
        """Versions that were read, and whose they are."""
        if not self.lists_entities:
            self.gave(len(entities))
        else:
            for entity in entities:
                if len(self._seen) < _REMEMBERED_ENTITIES:
                    self._seen[entity] = None
                else:
                    self._beyond += 1
        self.concerns(patients)

    def concerns(self, patients: Iterable[str]) -> None:
        """Patients of whom something was given out."""
        for patient in patients:
            if len(self._patients) < _REMEMBERED_PATIENTS:
                self._patients[patient] = None

    def asked_by(
        self,
        types: Iterable[str],
        names: Iterable[str],
        params: Callable[[str], Mapping[str, Any]] = search_params,
    ) -> None:
        """Search parameters of some types (none: of all), without their values.

        Names that are none are not repeated either.
        """
        known = [params(one) for one in (types or sorted(RESOURCE_TYPES))]
        bare = (name.partition(":")[0].partition(".")[0] for name in names)
        found = (
            name if name in _COMMON or any(name in one for one in known) else "(unknown)"
            for name in bare
        )
        self.parameters = tuple(dict.fromkeys((*self.parameters, *found)))[:_MAX_PARAMETERS]

    def gave(self, results: int) -> None:
        """So many results (matches, rows, members) were given out."""
        self.results = (self.results or 0) + results

    def change(self) -> AuditRecord:
        """The record of a change that is about to be stored, to be told with `changed`."""
        return self._record(0)

    def changed(self) -> None:
        """The change is stored and recorded.

        What was read before was read for its sake (a condition, a reference), not given out.
        """
        self.changes += 1
        self._forget()

    def finish(self, outcome: int) -> list[AuditRecord]:
        """What is still to be recorded at the end; `outcome` as in `AuditRecord`.

        Nothing, when the changes that were recorded are all that there was.
        """
        found, self._finished = self._finished, []
        gave = bool(self._seen or self._patients or self.results)
        if not outcome and not gave and (self.changes or (found and self.name == "batch")):
            return found
        record = self._record(outcome)
        if not outcome and gave and record.action in "CUD":
            # Nothing was changed by this, or no more: what was there already was given out.
            record = replace(record, action="R")
        entities = [] if outcome else list(self._seen)
        patients = [] if outcome else list(self._patients)
        if self.target is not None:
            if self.target.resource_type == "Patient":
                patients.insert(0, self.target.id)
            if not any(entity[:2] == self.target[:2] for entity in entities):
                entities.insert(0, self.target)
        about = record.about(entities, patients)
        if self._beyond and not outcome:
            about = [replace(r, entity_count=r.entity_count + self._beyond) for r in about]
        self._forget()
        return [*found, *about]

    def _record(self, outcome: int) -> AuditRecord:
        return AuditRecord(
            action=self.action,
            name=self.name,
            agent=self.agent,
            outcome=outcome,
            failure=self.failure if outcome else "",
            network=self.network,
            purpose=self.purpose,
            request_id=self.request_id,
            parameters=self.parameters,
            results=None if outcome else self.results,
        )

    def _forget(self) -> None:
        self._seen.clear()
        self._patients.clear()
        self._beyond = 0
        self.results = None


def current() -> AuditTrail | None:
    """The trail that is active here."""
    return _CURRENT.get()


def deactivate(token: Token[AuditTrail | None]) -> None:
    """End what `AuditTrail.activate` began."""
    _CURRENT.reset(token)


@contextmanager
def unobserved() -> Iterator[None]:
    """Upkeep that reads much and gives out nothing of it: not noted to the trail."""
    token = _CURRENT.set(None)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def outcome_of(failure: str) -> int:
    """AuditEvent.outcome of a category of `FhirError`, or of none: 0, 4 (refused), 8 (failed)."""
    if not failure:
        return 0
    return 8 if failure in ("internal", "unavailable", "timeout") else 4
