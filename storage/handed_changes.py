"""Changes between the processes of one service: handed over by a reader, stored by the writer."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, cast

from schemas.ids import format_instant
from schemas.outcomes import FhirError
from storage import audit_trail, reading
from storage.audit_change import of_process, recorder
from storage.audit_event import number_of
from storage.audit_record import AuditRecord
from storage.audit_trail import AuditTrail
from storage.conditions import Matches
from storage.elsewhere import Change, NotHere, Numbers, Stored
from storage.index_queue import await_index
from storage.lake_upkeep import LakeUpkeep
from storage.operations import Delete, Operation, Prepared, prepare, stamped_body
from storage.packed_ids import pack
from storage.recent_versions import Guard, OvertakenError
from storage.search_definitions import TYPE as SEARCH_PARAMETER
from storage.versions import Commit, Version, from_microseconds
from storage.writer_jobs import Also

if TYPE_CHECKING:
    from storage.lake import Lake

# Answers to conditions that are kept, see `_find_elsewhere`.
_FOUND = 1_000

Condition = tuple[str, tuple[tuple[str, str], ...], int]
Found = tuple[int, Guard, str]
"""What a condition matched: as of which commit, the guard of that, the one id."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class HandedChanges(LakeUpkeep):
    """What a lake does with prepared changes, on either side."""

    # What it relies on

    def guard(self, version: Version, t: int) -> Guard:
        """The guard of a version that was read as of commit `t`: that it stays the current one."""
        type_number = self._terms.id(version.resource_type)
        return Guard(type_number, t, ids=frozenset({pack(version.id)}))

    def standing(self, resource_type: str, id: str, *, at: int) -> Guard | None:
        """The guard of there being a resource, as it is as of commit `at`; None when there is none.

        Its body is not read, so nobody's access is recorded.
        """
        if number_of(resource_type, id) is not None:  # The audit log keeps what it has.
            return Guard(self._terms.id(resource_type), at)
        with self._database.statement() as connection:
            if not reading.is_current(connection, resource_type, id, at):
                return None
        return Guard(self._terms.id(resource_type), at, ids=frozenset({pack(id)}))

    def alone(self) -> AbstractContextManager[None]:
        """No other thread commits in the block: for who was overtaken again and again."""
        if self._elsewhere is not None:
            raise NotHere
        return self._gate.alone()

    # Where it is handed over

    @property
    def takes_changes(self) -> bool:
        """Whether changes can be asked for here, whoever stores them."""
        return self._upkeep is not None or self._elsewhere is not None

    @property
    def stores_itself(self) -> bool:
        """Whether no other process has to be asked for what `NotHere` says is not done here."""
        return self._elsewhere is None

    def _await_index(self, t: int) -> None:
        """Return when everything up to commit `t` is in the search index."""
        if self._upkeep is not None:
            await_index(self._database, self._upkeep.writer, t)
        elif self._published is None:
            await_index(self._database, None, t)
        elif self._published.indexed_t < t:
            if self._elsewhere is None:
                await_index(self._database, None, t)
            else:
                self._elsewhere.await_index(t)

    def _begin_elsewhere(
        self,
        operations: Sequence[Operation],
        audit: AuditRecord | None,
        guards: Sequence[Guard],
        cursor: tuple[str, int] | None = None,
    ) -> Future[Commit]:
        """Prepare a change and hand it to the process that writes. Raises what `prepare` does."""
        elsewhere = self._elsewhere
        if elsewhere is None or cursor is not None or any(map(_is_definition, operations)):
            raise NotHere
        definitions = self._definitions.count
        prepared = prepare(operations, self._index_rows)
        trail = audit_trail.current() if audit is None else None
        record = audit or (trail.change() if trail is not None else of_process(prepared))
        begun = elsewhere.begin(Change(prepared, guards, record, definitions))
        future: Future[Commit] = Future()
        future.set_running_or_notify_cancel()
        begun.add_done_callback(partial(_ended_elsewhere, self, future, prepared, trail, guards))
        return future

    def confirm(self, guards: Sequence[Guard]) -> None:
        """Raise `OvertakenError` when what was found meanwhile is not so any more.

        For who stores nothing. A process that writes finds nothing but what is so.
        """
        if self._elsewhere is not None and guards:
            try:
                self._elsewhere.wait(
                    self._elsewhere.begin(Change((), guards, None, self._definitions.count))
                )
            except OvertakenError:
                self._found.clear()
                raise

    def _find_elsewhere(
        self, resource_type: str, params: Sequence[tuple[str, str]], limit: int
    ) -> Matches:
        """`find` by the process that writes.

        The one resource that a condition matched is taken to be so until a guard says otherwise:
        whoever acts upon it has the guard checked, by its commit or by `confirm`.
        """
        elsewhere = self._elsewhere
        assert elsewhere is not None
        trail = audit_trail.current()
        if trail is not None:
            trail.asked_by((resource_type,), (name for name, _ in params), self.search_params)
        condition = (resource_type, tuple(params), limit)
        kept = self._found.get(condition)
        if kept is not None:
            t, guard, id = kept
            try:
                return Matches([cast("Lake", self).read(resource_type, id, at=t)], guard)
            except FhirError:
                self._found.pop(condition, None)
        t, guard, ids = elsewhere.find(resource_type, params, limit)
        if len(ids) == 1 < limit:
            if len(self._found) >= _FOUND:
                self._found.clear()
            self._found[condition] = (t, guard, ids[0])
        read = cast("Lake", self).read
        return Matches([read(resource_type, id, at=t) for id in ids], guard)

    # Where it is stored

    def begin_prepared(self, change: Change) -> Future[Commit] | None:
        """Store what another process prepared, without waiting; see `Lake.begin`.

        Raises `OvertakenError` where it was prepared by other search parameters.
        """
        if self._flusher.is_overfull or not self._gate.enter():
            return None
        with ExitStack() as failed:
            failed.callback(self._gate.leave)
            failed.enter_context(self._definitions.writing())
            self._check_definitions(change)
            future = self._writer.begin_transact(
                change.operations, _recorder(self, change), change.guards
            )
            begun = failed.pop_all()
        future.add_done_callback(lambda _done: begun.close())
        return future

    def transact_prepared(self, change: Change) -> Commit:
        """The same, durable on return; waits where there is something to wait for."""
        self._flusher.relieve()
        with self._gate.passing(), self._definitions.writing():
            self._check_definitions(change)
            return self._writer.transact(
                change.operations, None, _recorder(self, change), change.guards
            )

    def check_guards(self, guards: Sequence[Guard]) -> None:
        """Raise `OvertakenError` when one of them may not hold any more."""
        if any(map(self._writer.recent.overtakes, guards)):
            raise OvertakenError

    def new_term(self, text: str) -> int:
        """The number of a text, durable on return."""
        return self._terms.id(text)

    def index_all(self, t: int) -> None:
        """Return when everything up to commit `t` is in the search index."""
        self._await_index(t)

    def _check_definitions(self, change: Change) -> None:
        if change.definitions != self._definitions.count:
            raise OvertakenError


def stored(commit: Commit) -> Stored:
    """What the process that handed a change over has to know of its commit."""
    numbers = [
        Numbers(v.version_id, v.t, _us(v.last_updated), v.method, v.deleted)
        for v in commit.versions
    ]
    return Stored(commit.t, _us(commit.instant), numbers)


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _is_definition(operation: Operation) -> bool:
    if isinstance(operation, Delete):
        return operation.resource_type == SEARCH_PARAMETER
    return operation.resource.get("resourceType") == SEARCH_PARAMETER


def _recorder(lake: HandedChanges, change: Change) -> Also | None:
    if change.audit is None:
        return None
    return recorder(lake._audit, change.audit, change.operations)


def _ended_elsewhere(
    lake: HandedChanges,
    future: Future[Commit],
    prepared: Sequence[Prepared],
    trail: AuditTrail | None,
    guards: Sequence[Guard],
    begun: Future[Stored],
) -> None:
    failure = begun.exception()
    if failure is not None:
        if isinstance(failure, OvertakenError):
            lake._found.clear()
        future.set_exception(failure)
        return
    if trail is not None and prepared:
        trail.changed()
    made = begun.result()
    _renew(lake._found, guards, prepared, made.t)
    future.set_result(_commit(prepared, made))


def _renew(
    found: dict[Condition, Found], guards: Sequence[Guard], prepared: Sequence[Prepared], t: int
) -> None:
    """Take over that guards held until commit `t`, which stored `prepared`.

    What a guard of long ago is about is not known any more: it counts as overtaken. So answers
    that are acted upon again and again are made to be of now.
    """
    checked = {id(guard) for guard in guards}
    for condition, (_, guard, match) in list(found.items()) if checked else ():
        if id(guard) not in checked:
            continue
        if any(_concerns(operation, guard) for operation in prepared):
            found.pop(condition, None)
        else:
            found[condition] = (t, replace(guard, since_t=t), match)


def _concerns(operation: Prepared, guard: Guard) -> bool:
    """Whether what was stored may change what was found."""
    if guard.type_number is None or guard.identifiers is None:
        return True
    return operation.key[0] == guard.type_number and (
        operation.key[1] in guard.ids or not guard.identifiers.isdisjoint(operation.identifiers)
    )


def _commit(prepared: Sequence[Prepared], stored: Stored) -> Commit:
    versions = []
    for operation, numbers in zip(prepared, stored.versions, strict=True):
        moment = from_microseconds(numbers.instant_us)
        body = b""
        if operation.body is not None and not numbers.deleted:
            body = stamped_body(operation.body, numbers.version_id, format_instant(moment))
        versions.append(
            Version(
                operation.resource_type,
                operation.id,
                numbers.version_id,
                numbers.t,
                moment,
                numbers.method,
                numbers.deleted,
                body,
            )
        )
    return Commit(stored.t, from_microseconds(stored.instant_us), versions)
