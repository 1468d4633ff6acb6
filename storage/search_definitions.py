"""Search parameters that were added to a lake: SearchParameter resources, and how far they are.

A definition takes effect with the commit that stores it: whatever is stored from then on is indexed
by it. What was stored before is indexed in the background (`IndexDefinitions`); until that is
done, a search by the parameter is refused, so that no answer is ever in part. What a reader of the
past may search by are the parameters there are now, indexed for all versions.

The table `search_definition` has a row for each current SearchParameter, also for those without
effect, so that a lake whose database was made anew, or was changed by a crash or an erasure, knows
on opening which ones it has to look at.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Protocol

import apsw

from schemas.outcomes import FhirError, Issue, error
from schemas.param_set import R4, ParamSet
from schemas.search_definitions import TYPE, parameters_of, type_of_r4
from schemas.search_params import Component, SearchParam
from storage.commit import Position
from storage.commit_batch import CommitBatch
from storage.database import Database
from storage.elsewhere import Published
from storage.index import DirectRows
from storage.jobs import COMPLETED, FINISHED
from storage.operations import Operation, Put
from storage.packed_ids import unpack
from storage.versions import Commit

KIND = "index-search-parameters"
"""The job that indexes what was stored before a definition."""

MOST = 2_000
"""SearchParameters with an effect: each costs a little when a resource of its type is stored."""


class Definition:
    """One SearchParameter: its version, the parameters it defines, whether they are indexed."""

    __slots__ = ("params", "ready", "version_id")

    def __init__(self, version_id: int, params: Sequence[SearchParam], *, ready: bool) -> None:
        self.version_id = version_id
        self.params = tuple(params)
        self.ready = ready or not params


Definitions = Mapping[str, Definition]


class Runs(Protocol):
    """What runs work in a transaction (`storage.writer.Writer`)."""

    def run(self, work: Any, *, index: bool = True, durable: bool = True) -> Any:
        """See `storage.writer.Writer.run`."""


class SearchDefinitions:
    """The added parameters of one lake, as of now."""

    def __init__(
        self,
        database: Database,
        rows: DirectRows,
        *,
        read_only: bool,
        published: Published | None = None,
    ) -> None:
        """`rows` is told what to index. `load` is to be called before anything is searched.

        `published`: where processes of one service tell each other of changes.
        """
        self._published = published
        self._database = database
        self._rows = rows
        self._read_only = read_only
        self._changing = threading.RLock()
        self._definitions: dict[str, Definition] = {}
        self._params = R4
        self._writes = _Writes()
        self._seen = 0

    @property
    def params(self) -> ParamSet:
        """The parameters that there are; those that are not indexed yet say so (`pending`)."""
        if self._read_only:
            self._follow()
        return self._params

    @property
    def count(self) -> int:
        """How often the parameters were changed: by which state of them rows are made now."""
        if self._read_only:
            self._follow()
        return self._seen

    @property
    def pending(self) -> dict[str, int]:
        """SearchParameters that are not indexed yet: id → version."""
        found = self._definitions
        return {id: one.version_id for id, one in found.items() if not one.ready}

    def types_of(self, ids: Iterable[str]) -> frozenset[str]:
        """The resource types that have parameters of some SearchParameters."""
        found = self._definitions
        return frozenset(param.base for id in ids if id in found for param in found[id].params)

    def load(self, connection: apsw.Connection) -> None:
        """Read what the database has."""
        self._install(_read(connection))
        self._seen = _changes(connection)
        if self._published is not None and not self._read_only:
            self._published.defined(self._seen)

    # Changing

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around the making and storing of index rows."""
        with self._writes.one():
            yield

    def transact(self, operations: Sequence[Operation], store: Any) -> Commit:
        """Store operations of which some are on SearchParameters; `store(also)` stores them.

        Raises FhirError `unprocessable` for a definition that cannot be used.
        """
        with self._changing:
            before = self._definitions
            changed = self._changed(operations)
            self._install(changed)

            def record(batch: CommitBatch, _position: Position, commit: Commit) -> None:
                versions = {v.id: v for v in commit.versions if v.resource_type == TYPE}
                for id, version in versions.items():
                    batch.connection.execute("DELETE FROM search_definition WHERE id = ?", (id,))
                    if not version.deleted:
                        changed[id] = _numbered(changed[id], version.version_id)
                        _write(batch.connection, id, changed[id])
                _count_change(batch.connection)

            try:
                commit: Commit = store(record)
            except BaseException:
                self._install(before)
                raise
            self._install(changed)
            self._tell()
            return commit

    def wait_for_earlier_writes(self) -> None:
        """Return when everything whose rows were made by other parameters has been stored."""
        self._writes.wait_for_earlier()

    def mark_ready(self, writer: Runs, indexed: Mapping[str, int]) -> list[str]:
        """Let the parameters of these (id → version) be searched by; those changed since are not.

        The ids of those that are ready.
        """

        def mark(connection: apsw.Connection) -> None:
            connection.executemany(
                "UPDATE search_definition SET ready = 1 WHERE id = ? AND version_id = ?",
                list(indexed.items()),
            )
            _count_change(connection)

        with self._changing:
            writer.run(mark, index=False)
            found = dict(self._definitions)
            done = [id for id, n in indexed.items() if id in found and found[id].version_id == n]
            for id in done:
                found[id] = Definition(found[id].version_id, found[id].params, ready=True)
            self._install(found)
            self._tell()
        return done

    def reconcile(self, writer: Runs, current: Mapping[str, int], read: Any) -> None:
        """Make the table say what the lake's SearchParameters say, where it does not.

        `current`: their ids and versions; `read(id)` gives one. A definition that cannot be used
        any more has no effect.
        """
        with self._changing:
            known = self._definitions
            gone = [id for id in known if id not in current]
            added = {
                id: version_id
                for id, version_id in current.items()
                if id not in known or known[id].version_id != version_id
            }
            if not gone and not added:
                return
            found = {id: one for id, one in known.items() if id in current and id not in added}
            resources = {}
            for id in list(added):
                try:
                    resources[id] = read(id)
                except FhirError:  # Damaged: looked at again when the lake is opened next.
                    del added[id]
            # Components may be of parameters that come later in the order of ids.
            for id, resource in sorted(
                resources.items(), key=lambda pair: pair[1].get("type") == "composite"
            ):
                try:
                    params = self._params_of(found, id, resource)
                except FhirError:
                    params = []
                found[id] = Definition(added[id], params, ready=False)

            def write(connection: apsw.Connection) -> None:
                for id in (*gone, *added):
                    connection.execute("DELETE FROM search_definition WHERE id = ?", (id,))
                for id in added:
                    _write(connection, id, found[id])
                _count_change(connection)

            writer.run(write, index=False)
            self._install(found)
            self._tell()

    def _changed(self, operations: Sequence[Operation]) -> dict[str, Definition]:
        """The definitions when the operations are stored. Raises FhirError."""
        found = dict(self._definitions)
        puts = []
        for operation in operations:
            if isinstance(operation, Put):
                if operation.resource.get("resourceType") == TYPE:
                    puts.append(operation.resource)
                    found.pop(str(operation.resource.get("id")), None)
            elif operation.resource_type == TYPE:
                found.pop(operation.id, None)
        issues: list[Issue] = []
        # A composite may come before its components.
        for resource in sorted(puts, key=lambda one: one.get("type") == "composite"):
            id = str(resource.get("id"))
            try:
                params = self._params_of(found, id, resource)
            except FhirError as failure:
                issues += failure.issues
                params = []
            known = self._definitions.get(id)
            # What finds the same as before is indexed as it should be.
            same = known is not None and known.ready and known.params == tuple(params)
            found[id] = Definition(0, params, ready=same)
        if issues:
            raise FhirError("unprocessable", issues)
        if sum(bool(one.params) for one in found.values()) > MOST:
            raise error(
                "too-large", f"A datastore has at most {MOST:,} search parameters of its own."
            )
        return found

    def _params_of(
        self, known: Mapping[str, Definition], id: str, resource: Mapping[str, Any]
    ) -> list[SearchParam]:
        others = [param for one in known.values() for param in one.params]
        types = {param.url: param.type for param in others}
        params = parameters_of(
            dict(resource), lambda url: type_of_r4(url) or types.get(url.partition("|")[0])
        )
        taken = {(param.base, param.code) for param in others}
        clashes = sorted({one.base for one in params if (one.base, one.code) in taken})
        if clashes:
            raise FhirError(
                "unprocessable",
                [
                    Issue(
                        "error",
                        "duplicate",
                        f"Another one defines this code for {', '.join(clashes)[:200]}. "
                        "Choose another code, or change or delete that one.",
                        (f"{TYPE}.code",),
                    )
                ],
            )
        return params

    def _install(self, definitions: dict[str, Definition]) -> None:
        added = [
            param if one.ready else replace(param, pending=partial(self._progress, id))
            for id, one in definitions.items()
            for param in one.params
        ]
        params = ParamSet(added) if added else R4
        self._rows.use(params)
        self._definitions, self._params = definitions, params
        self._writes.begin_anew()

    def _tell(self) -> None:
        """Count a change that is stored now, and tell the other processes of this service."""
        with self._database.reading() as connection:
            self._seen = _changes(connection)
        if self._published is not None:
            self._published.defined(self._seen)

    def _follow(self) -> None:
        """Take over what the process that writes has changed."""
        if self._published is not None and self._published.definitions == self._seen:
            return
        with self._database.reading() as connection:
            seen = _changes(connection)
            if seen == self._seen:
                return
            with self._changing:
                self._install(_read(connection))
                self._seen = seen

    def _progress(self, id: str) -> str:
        """How far the indexing of a SearchParameter is, for whoever has to wait for it."""
        with self._database.reading() as connection:
            rows: list[Any] = connection.execute(
                "SELECT id, state, request, progress FROM job WHERE kind = ? ORDER BY created_us",
                (KIND,),
            ).fetchall()
        for job, state, request, progress in reversed(rows):
            if id not in json.loads(request).get("parameters", ()) or state == COMPLETED:
                continue
            if state in FINISHED:
                return f"the job {job} that should index it has {state}; {_BY_HAND}"
            done, share = json.loads(progress), ""
            if done.get("total"):
                share = f", {done.get('done', 0):,} of {done['total']:,} versions"
            return f"it is being indexed (job {job}, {state}{share}); try again when it is done"
        return f"it is not indexed yet; {_BY_HAND}"


_BY_HAND = "`chartlake reindex` does it, or the service when it starts"


class _Writes:
    """Which writes began before the parameters changed and are not stored yet."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._age = 0
        self._active: Counter[int] = Counter()

    @contextmanager
    def one(self) -> Iterator[None]:
        with self._changed:
            age = self._age
            self._active[age] += 1
        try:
            yield
        finally:
            with self._changed:
                self._active[age] -= 1
                if not self._active[age]:
                    del self._active[age]
                    self._changed.notify_all()

    def begin_anew(self) -> None:
        with self._changed:
            self._age += 1

    def wait_for_earlier(self) -> None:
        with self._changed:
            age = self._age
            self._changed.wait_for(lambda: all(one >= age for one in self._active))


def _numbered(definition: Definition, version_id: int) -> Definition:
    return Definition(version_id, definition.params, ready=definition.ready)


_COUNTER = "search_definitions"


def _changes(connection: apsw.Connection) -> int:
    """How often the table was changed: what another process knows may be older."""
    found = connection.execute("SELECT value FROM lake WHERE name = ?", (_COUNTER,)).get
    return int(found or 0)


def _count_change(connection: apsw.Connection) -> None:
    connection.execute(
        "INSERT INTO lake VALUES (?, '1') ON CONFLICT (name) DO UPDATE SET value = value + 1",
        (_COUNTER,),
    )


def current_definitions(connection: apsw.Connection) -> dict[str, int]:
    """The SearchParameters that a lake has now: id → version."""
    rows: list[Any] = connection.execute(
        "SELECT id, version_id FROM version WHERE type = (SELECT id FROM term WHERE text = ?) "
        "AND t_end IS NULL AND NOT deleted",
        (TYPE,),
    ).fetchall()
    return {unpack(id): version_id for id, version_id in rows}


def _read(connection: apsw.Connection) -> dict[str, Definition]:
    rows: list[Any] = connection.execute(
        "SELECT id, version_id, params, ready FROM search_definition ORDER BY id"
    ).fetchall()
    return {
        id: Definition(version_id, [_param(one) for one in json.loads(params)], ready=bool(ready))
        for id, version_id, params, ready in rows
    }


def _write(connection: apsw.Connection, id: str, definition: Definition) -> None:
    params = []
    for param in definition.params:
        described = asdict(replace(param, pending=None))
        del described["pending"]
        params.append(described)
    connection.execute(
        "INSERT INTO search_definition VALUES (?, ?, ?, ?)",
        (id, definition.version_id, json.dumps(params), definition.ready),
    )


def _param(described: dict[str, Any]) -> SearchParam:
    return SearchParam(
        **described
        | {
            "targets": tuple(described["targets"]),
            "components": tuple(Component(**one) for one in described["components"]),
            "indexed_as": tuple(described["indexed_as"]),
        }
    )
