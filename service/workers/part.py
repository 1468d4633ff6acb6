"""What a process of the service is told of its part in it, lake by lake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.types import ASGIApp

from service.overload import Overload
from service.settings import Settings
from service.workers.board import Board
from service.workers.writer_link import LakeElsewhere, WriterLink
from storage.elsewhere import Elsewhere, Published
from storage.keys import MasterKey


@dataclass(frozen=True)
class Secrets:
    """What was read of one lake's files before there were several processes; memory alone has it.

    `master_key`: None for the lake's own; `tokens`: digests of tokens, None without authentication.
    """

    master_key: MasterKey | None
    tokens: Mapping[str, str] | None = field(repr=False)


@dataclass(frozen=True)
class Part:
    """The part of one process in one lake. `front`: its number; None in the process that writes.

    `writer`: what a front passes on goes there.
    """

    settings: Settings
    secrets: Secrets
    board: Board
    lake: int
    front: int | None = None
    writer: WriterLink | None = None

    @property
    def published(self) -> Published | None:
        """How far the writer is; None where that is another service's process."""
        return None if self.settings.read_only else self.board.published(self.lake)

    @property
    def elsewhere(self) -> Elsewhere | None:
        """Where a front's changes go; None where nothing is changed, or it is here."""
        if self.writer is None or self.settings.read_only:
            return None
        return LakeElsewhere(self.writer, self.lake)

    @property
    def passed_on(self) -> ASGIApp | None:
        """What answers the requests that this process does not."""
        return self.writer

    def overload(self) -> Overload:
        """The bound on requests: fronts count all of them together, the writer none again."""
        if self.front is None:
            return Overload(0)
        most = self.settings.max_concurrent_requests
        return Overload(most, self.board.under_way(self.lake), self.front)
