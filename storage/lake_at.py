"""The lake as of one commit: the same questions, whose answers never change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from storage.listing import ListingPage, Question
from storage.query.scope import Scope
from storage.snapshot import Snapshot
from storage.versions import Page, Version

if TYPE_CHECKING:
    from storage.analytics.cohort import CohortResult
    from storage.analytics.table import Table
    from storage.analytics.timeline_event import TimelineEvent
    from storage.lake import Lake


@dataclass(frozen=True, slots=True)
class LakeAt:
    """A lake right after commit `t`; 0 is the empty lake.

    Every method answers as the lake's own did then, now and for ever; only an erasure takes
    something out of past answers, and `erasures` says whether one did. Methods raise what the
    lake's raise.
    """

    lake: Lake
    t: int

    @property
    def instant(self) -> datetime:
        """When the commit was made (aware, UTC); the epoch for the empty lake."""
        return self.snapshot().instant

    @property
    def erasures(self) -> int:
        """How many erasures took something out of the answers since."""
        return self.lake.erasures_since(self.t)

    def read(self, resource_type: str, id: str) -> Version:
        """See `Lake.read`."""
        return self.lake.read(resource_type, id, at=self.t)

    def vread(self, resource_type: str, id: str, version_id: int) -> Version:
        """See `Lake.vread`."""
        return self.lake.vread(resource_type, id, version_id, at=self.t)

    def history(
        self,
        resource_type: str | None = None,
        id: str | None = None,
        *,
        types: Sequence[str] = (),
        since: str | None = None,
        during: str | None = None,
        count: int | None = None,
        cursor: str | None = None,
    ) -> Page:
        """See `Lake.history`."""
        return self.lake.history(
            resource_type,
            id,
            types=types,
            since=since,
            during=during,
            at=self.t,
            count=count,
            cursor=cursor,
        )

    def search(
        self,
        where: str | Scope,
        params: Sequence[tuple[str, str]],
        *,
        strict: bool = False,
        audit_log: bool = True,
    ) -> Page:
        """See `Lake.search`."""
        return self.lake.search(where, params, strict=strict, at=self.t, audit_log=audit_log)

    def changes(
        self, since_t: int, *, types: Sequence[str] | None = None, limit: int = 1000
    ) -> list[Version]:
        """See `Lake.changes`; those up to `t`."""
        return self.lake.changes(since_t, types=types, limit=limit, at=self.t)

    def listing(self, question: Question, *, count: int, cursor: str | None = None) -> ListingPage:
        """See `Lake.listing`."""
        return self.lake.listing(question, count=count, cursor=cursor, at=self.t)

    def snapshot(self) -> Snapshot:
        """See `Lake.snapshot`."""
        return self.lake.snapshot(self.t)

    def sql(
        self,
        query: str,
        parameters: Sequence[Any] | Mapping[str, Any] = (),
        *,
        timeout_s: float = 30,
        max_rows: int = 100_000,
    ) -> Table:
        """See `Lake.sql`."""
        return self.lake.sql(query, parameters, at=self.t, timeout_s=timeout_s, max_rows=max_rows)

    def cohort(self, definition: dict[str, Any]) -> CohortResult:
        """See `Lake.cohort`."""
        return self.lake.cohort(definition, at=self.t)

    def timeline(
        self,
        patient_id: str,
        *,
        types: Sequence[str] | None = None,
        since: Any = None,
        until: Any = None,
    ) -> list[TimelineEvent]:
        """See `Lake.timeline`."""
        return self.lake.timeline(patient_id, at=self.t, types=types, since=since, until=until)
