"""The lake: every version of every resource, in the order of one commit log.

with Lake.open("data") as lake:
    commit = lake.transact([Put({"resourceType": "Patient", "id": "p1"})])
    lake.read("Patient", "p1").resource()
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import apsw

from schemas.outcomes import error
from schemas.param_set import ParamSet
from storage import audit_trail, conditions, erasures, history, reading
from storage.as_of import AsOf
from storage.audit_change import both, of_process, recorder
from storage.audit_event import number_of, refusal
from storage.audit_events import STORED_ONLY
from storage.audit_record import AuditRecord
from storage.audit_trail import AuditTrail
from storage.bulk_export.deletions import Deletion, deletions
from storage.conditions import Matches
from storage.handed_changes import HandedChanges
from storage.lake_at import LakeAt
from storage.listing import ListingPage, Question
from storage.operations import ANY_VERSION, Delete, Operation, Prepared, Put, RefusedError, prepare
from storage.process_trail import recorded
from storage.query import search
from storage.query.joins import Evaluation
from storage.query.limits import SearchLimits
from storage.query.parse import parse_types
from storage.query.scope import Scope, within_compartment
from storage.recent_versions import Guard, OvertakenError
from storage.search_definitions import TYPE as SEARCH_PARAMETER
from storage.snapshot import Snapshot
from storage.verify import Finding
from storage.versions import Commit, Page, Version
from storage.writer_jobs import Also

if TYPE_CHECKING:
    from storage.analytics.cohort import CohortResult
    from storage.analytics.table import Table
    from storage.analytics.timeline_event import TimelineEvent

__all__ = [
    "ANY_VERSION",
    "AsOf",
    "Commit",
    "Delete",
    "Finding",
    "Guard",
    "Lake",
    "LakeAt",
    "Matches",
    "OvertakenError",
    "Page",
    "Put",
    "RefusedError",
    "Scope",
    "SearchLimits",
    "Snapshot",
    "Version",
]


class Lake(HandedChanges):
    """One open lake folder. All methods may be called from many threads.

    Wherever a method takes `at`, it is a commit, or a moment (an aware datetime in the past): the
    last commit at or before it. What is answered as of a commit never changes, but for what an
    erasure takes out of it; see `erasures_since`.
    """

    def at(self, at: AsOf | None = None) -> LakeAt:
        """The lake as it was after a commit, or at a moment; None: as it is now, for good.

        Raises FhirError `value` for a commit that is not there yet, a moment in the future or
        without a zone, and, where this process only reads, for one that is not settled yet.
        """
        return LakeAt(self, self._at(at))

    def erasures_since(self, t: int) -> int:
        """How many erasures took something out of what is answered as of commit `t`."""
        with self._database.reading() as connection:
            return erasures.since(connection, t)

    # Writing

    def transact(
        self,
        operations: Sequence[Operation],
        *,
        cursor: tuple[str, int] | None = None,
        audit: AuditRecord | None = None,
        guards: Sequence[Guard] = (),
    ) -> Commit:
        """Store all operations as one commit, or none; durable on return.

        `cursor` (name, t) moves a consumer's cursor in the same transaction. When nothing changes
        (deletions of what is deleted, a cursor alone) there is no new commit, and `t` is the last
        one. Raises FhirError: `precondition`, `conflict`, `not-found` (a deletion of what never
        was), `invalid`, `method-not-allowed` (a change to the lake's own audit log); those of one
        operation are `RefusedError`s with its index.

        `guards`: of what the operations were decided by (`find`, `guard`). `OvertakenError` when
        that may have changed since: decide again, in the end `alone`.

        The change is recorded in the audit log in the same transaction: as `audit` says, else as
        the trail that is active says, else as this process's.
        """
        _refuse_own(operations)
        if self._elsewhere is not None:
            return self._elsewhere.wait(self._begin_elsewhere(operations, audit, guards, cursor))
        self._flusher.relieve()
        if all(_identity(one)[0] != SEARCH_PARAMETER for one in operations):
            with self._gate.passing():
                return self._store(operations, cursor, audit, guards)
        # Alone: what others stored meanwhile would be indexed by parameters that, where this is
        # refused, there never were. The gate first, then the definitions.
        with self._gate.alone():
            commit = self._definitions.transact(
                operations, lambda also: self._store(operations, cursor, audit, guards, also)
            )
        for listener in self.on_definitions:
            listener()
        return commit

    def begin(
        self, operations: Sequence[Operation], *, guards: Sequence[Guard] = ()
    ) -> Future[Commit] | None:
        """The same without waiting: the future is done when the commit is durable.

        For an event loop: a small resource takes tens of microseconds, more only for a term that is
        stored for the first time. None where a commit would have to wait before it can begin, for
        room in the hot tier or for who is `alone`, and for changes to search parameters: use
        `transact` then. Raises what can be told at once; the future raises the rest.
        """
        _refuse_own(operations)
        if self._elsewhere is not None:
            return self._begin_elsewhere(operations, None, guards)
        if self._flusher.is_overfull or any(
            _identity(o)[0] == SEARCH_PARAMETER for o in operations
        ):
            return None
        if not self._gate.enter():
            return None
        with ExitStack() as failed:
            failed.callback(self._gate.leave)
            failed.enter_context(self._definitions.writing())
            prepared = prepare(operations, self._index_rows)
            change, trail = self._recorded(prepared, None)
            future = self._writer.begin_transact(prepared, change, guards)
            begun = failed.pop_all()
        # Added first, so it is called before any other is told.
        future.add_done_callback(partial(_ended, begun, trail))
        return future

    def _store(
        self,
        operations: Sequence[Operation],
        cursor: tuple[str, int] | None,
        audit: AuditRecord | None,
        guards: Sequence[Guard],
        also: Also | None = None,
    ) -> Commit:
        with self._definitions.writing():
            prepared = prepare(operations, self._index_rows)
            if not prepared:
                return self._writer.transact(prepared, cursor)
            change, trail = self._recorded(prepared, audit)
            if also is not None:
                change = both(change, also)
            commit = self._writer.transact(prepared, cursor, change, guards)
            if trail is not None:
                trail.changed()
            return commit

    def _recorded(
        self, prepared: Sequence[Prepared], audit: AuditRecord | None
    ) -> tuple[Also, AuditTrail | None]:
        """What records a change in its transaction, and the trail to be told when it is stored."""
        trail = audit_trail.current() if audit is None else None
        record = audit or (trail.change() if trail is not None else of_process(prepared))
        return recorder(self._audit, record, prepared), trail

    def find(
        self, resource_type: str, params: Sequence[tuple[str, str]], *, limit: int = 2
    ) -> Matches:
        """What a condition matches now, at most `limit` versions, and the guard of that answer.

        Raises FhirError as a strict `search`, and `invalid` for what is no criterion.
        """

        if self._elsewhere is not None:
            return self._find_elsewhere(resource_type, params, limit)

        def search(more: Sequence[tuple[str, str]], t: int) -> Page:
            return self.search(resource_type, [*params, *more], strict=True, at=t, audit_log=False)

        trail = audit_trail.current()
        if trail is not None:
            trail.asked_by((resource_type,), (name for name, _ in params), self.search_params)
        return conditions.find(
            conditions.Question(resource_type, tuple(params), limit),
            self._terms.id(resource_type),
            self.t,
            self._writer,
            self._matches,
            search,
            lambda id, t: self.read(resource_type, id, at=t),
        )

    # Reading

    @recorded("read", "R", lists_entities=True)
    def read(self, resource_type: str, id: str, *, at: AsOf | None = None) -> Version:
        """The version of a resource that is current at `at`. FhirError `not-found`, `deleted`."""
        if number_of(resource_type, id) is not None:
            self._take_in_accesses()
            with self._database.reading() as connection:
                return self._audit_events.read(connection, id)
        kept, keep = self._kept, None
        t = self._at(at)
        if kept is not None:
            found = kept.get(resource_type, id, t, audit_trail.current())
            if found is not None:
                return found
            keep = kept.keep if t == self.t else None
        with self._database.statement() as connection:
            return reading.read(connection, self._bodies, resource_type, id, t, keep)

    @recorded("vread", "R", lists_entities=True)
    def vread(
        self, resource_type: str, id: str, version_id: int, *, at: AsOf | None = None
    ) -> Version:
        """One version that was there at `at`, tombstones included. FhirError `not-found`."""
        if number_of(resource_type, id) is not None:
            with self._database.reading() as connection:
                return self._audit_events.read(connection, id, version_id)
        with self._database.statement() as connection:
            return reading.vread(
                connection, self._bodies, resource_type, id, version_id, self._at(at)
            )

    @recorded("history", "R", lists_entities=True)
    def history(
        self,
        resource_type: str | None = None,
        id: str | None = None,
        *,
        types: Sequence[str] = (),
        since: str | None = None,
        during: str | None = None,
        at: AsOf | None = None,
        count: int | None = None,
        cursor: str | None = None,
    ) -> Page:
        """Versions of a resource, a type or the lake, newest first, deletions included.

        `types` narrows the lake's. `since` (a FHIR date or instant) leaves those committed at or
        after it, `during` (a date or dateTime of any precision) those that were current at some
        point of it. `count` versions a page (None: all; 0: their number alone). All pages show the
        history as of `at`, or as it was when the first one was read. FhirError `not-found` (a
        resource that never was), `value`.
        """
        wanted = tuple(types) if resource_type is None else (resource_type,)
        question = history.Question(wanted, id, since, during)
        with self._database.reading() as connection:
            if resource_type and id and number_of(resource_type, id) is not None:
                return Page([self._audit_events.read(connection, id)], 1)
            return history.history(
                connection,
                self._bodies,
                self._terms,
                self._cursors,
                self._at(at),
                question,
                count,
                cursor,
            )

    @recorded("search-type", "E")
    def search(
        self,
        where: str | Scope,
        params: Sequence[tuple[str, str]],
        *,
        strict: bool = False,
        at: AsOf | None = None,
        audit_log: bool = True,
    ) -> Page:
        """Current resources of a type, or of a `Scope`, that meet all parameters (R4 search.html).

        Unknown parameters are named in `Page.ignored`, or refused when `strict`; a known parameter
        with a modifier or value that is not supported is always refused. `at` pins the search to a
        past commit; the pages of one search are pinned to that of its first. AuditEvents are those
        that were stored and, with `audit_log`, those of the lake's own log. What the limits
        (`search_limits`) do not allow is refused.
        """
        scope = (Scope((where,)) if isinstance(where, str) else where).checked()
        if scope.types == ("AuditEvent",) and audit_log:
            self._take_in_accesses()
        if scope.types == ("AuditEvent",) and scope.compartment is not None:
            scope, params = within_compartment(scope, params)
        t = self._at(at)
        trail = audit_trail.current()
        if trail is not None:
            trail.asked_by(scope.types, (name for name, _ in params), self.search_params)
        self._await_index(t)
        known = self._definitions.params
        with self._database.reading() as connection:

            def stored(params: Sequence[tuple[str, str]], t: int) -> Page:
                return self._search(connection, scope, params, t, strict, known)

            if scope.types != ("AuditEvent",) or not audit_log:
                return stored(params, t)
            return self._audit_events.search(
                connection, stored, params, t, latest=t == self.t, strict=strict
            )

    def _search(
        self,
        connection: apsw.Connection,
        scope: Scope,
        params: Sequence[tuple[str, str]],
        t: int,
        strict: bool,
        known: ParamSet,
    ) -> Page:
        types = scope.types
        if not types:
            present: list[Any] = connection.execute("SELECT type FROM resource_count").fetchall()
            types = scope.all_types([self._terms.text(connection, number) for (number,) in present])
        limits = self.search_limits
        query = parse_types(
            types,
            params,
            strict=strict,
            known=known,
            limits=limits,
            within=scope.within(types),
            meanings=self._index.meanings.of(known, limits),
        )
        question = search.question_of(scope, params, query.ignored)
        position = None
        if query.cursor is not None:
            position = self._cursors.read(query.cursor, question)
            if position.t > t:
                raise error(
                    "value", "The _cursor is of a later state of the lake than there is.", "_cursor"
                )
            t = position.t
        terminology = partial(self.canonicals.terminology, at=t)
        evaluation = Evaluation(
            connection, self._bodies, self._terms, self._index, t, known, limits, terminology
        )
        page = search.search(evaluation, self._cursors, query, question, position)
        if "AuditEvent" in scope.types and len(scope.types) > 1:
            page.issues.append(STORED_ONLY)
        return page

    @recorded("changes", "R", lists_entities=True)
    def changes(
        self,
        since_t: int,
        *,
        types: Sequence[str] | None = None,
        limit: int = 1000,
        at: AsOf | None = None,
    ) -> list[Version]:
        """Versions of the commits after `since_t` (up to `at`), deletions too, in commit order."""
        with self._database.reading() as connection:
            return reading.changes(
                connection, self._bodies, self._terms, since_t, types, limit, self._at(at)
            )

    def count_changes(self, since_t: int, *, types: Sequence[str] | None = None) -> int:
        """How many versions `changes` would give without a limit, without reading them."""
        with self._database.reading() as connection:
            return reading.count_changes(connection, self._terms, since_t, types)

    def cursor(self, name: str) -> int:
        """The last `t` that the consumer `name` has dealt with; 0 for a new one."""
        with self._database.reading() as connection:
            return reading.consumer_cursor(connection, name)

    # Answers over many resources

    @recorded("listing", "E")
    def listing(
        self, question: Question, *, count: int, cursor: str | None = None, at: AsOf | None = None
    ) -> ListingPage:
        """A page of the answer to a question: a whole record (`storage.record`), a patient's
        documents (`storage.documents`). See `storage.listing`."""
        return self._listings.page(self.at(at), question, count, cursor)

    @recorded("snapshot", "E")
    def snapshot(self, at: AsOf | None = None) -> Snapshot:
        """The lake as of a commit, in columns, for analytic queries."""
        return Snapshot(self._database, self._segments, self._terms, self._hot_tables, self._at(at))

    @recorded("sql", "E")
    def sql(
        self,
        query: str,
        parameters: Sequence[Any] | Mapping[str, Any] = (),
        *,
        at: AsOf | None = None,
        timeout_s: float = 30,
        max_rows: int = 100_000,
    ) -> Table:
        """The answer to one read-only SQL statement; see `storage.analytics.sql`."""
        from storage.analytics import sql

        table = sql.run(self.snapshot(at), query, parameters, timeout_s, max_rows)
        trail = audit_trail.current()
        if trail is not None:
            trail.gave(len(table))
        return table

    def deletions(self, resource_type: str, since: datetime, t: int) -> Iterator[Deletion]:
        """Resources of a type that were deleted after `since` and are, as of commit `t`."""
        with self._database.reading() as connection:
            number = self._terms.find(connection, resource_type)
            if number is not None:
                yield from deletions(connection, number, since, t)

    @recorded("cohort", "E")
    def cohort(self, definition: dict[str, Any], *, at: AsOf | None = None) -> CohortResult:
        """The patients that meet a definition; see `storage.analytics.cohort`."""
        from storage.analytics import cohort

        result = cohort.run(self.snapshot(at), definition)
        trail = audit_trail.current()
        if trail is not None:
            trail.gave(result.count)
            trail.concerns(str(member["patient_id"]) for member in result.members)
        return result

    @recorded("timeline", "E", target_type="Patient")
    def timeline(
        self,
        patient_id: str,
        *,
        at: AsOf | None = None,
        types: Sequence[str] | None = None,
        since: Any = None,
        until: Any = None,
    ) -> list[TimelineEvent]:
        """What happened to a patient, in order; see `storage.analytics.timeline`."""
        from storage.analytics import timeline

        events = timeline.build(self.snapshot(at), patient_id, types, since, until)
        trail = audit_trail.current()
        if trail is not None:
            trail.gave(len(events))
            trail.concerns([patient_id])
        return events


def _refuse_own(operations: Sequence[Operation]) -> None:
    """Refuse a change to the lake's own audit log."""
    for operation in operations:
        identity = _identity(operation)
        if number_of(*identity) is not None:
            raise refusal(identity[1])


def _ended(begun: ExitStack, trail: AuditTrail | None, done: Future[Commit]) -> None:
    begun.close()
    if trail is not None and done.exception() is None:
        trail.changed()


def _identity(operation: Operation) -> tuple[str, str]:
    if isinstance(operation, Delete):
        return operation.resource_type, operation.id
    return str(operation.resource.get("resourceType")), str(operation.resource.get("id"))
