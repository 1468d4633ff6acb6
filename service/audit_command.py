"""Commands on a lake folder leave audit events too: who ran what, and what it gave out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from service.lake_access import open_lake, open_to_read
from service.settings import Settings
from storage.audit_change import user
from storage.audit_trail import AuditTrail
from storage.lake import Lake
from storage.process_trail import recording


def command_trail(name: str) -> AuditTrail:
    """The trail of a command of the command line, run by this user of the operating system."""
    return AuditTrail(f"cli:{user()}", name, "E", lists_entities=False)


@contextmanager
def command_lake(
    settings: Settings, name: str, parameters: tuple[str, ...] = (), *, reading: bool = False
) -> Iterator[Lake]:
    """The lake of the settings for one command: `name`, with the names of what it is about.

    `reading`: the command changes nothing, so it may read a folder beside a service.
    """
    trail = command_trail(name)
    trail.parameters = parameters
    opened = open_to_read if reading else partial(open_lake, create=False)
    with trail.active(), opened(settings) as lake, recording(lake, trail):
        yield lake
