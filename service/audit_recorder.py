"""Every request leaves an audit event, before its answer leaves.

A `Recording` has a trail active while a request is dealt with (see `storage.audit_trail`): a
change is recorded with it in the change's own transaction; anything else, refusals included, when
the answer begins. An access that cannot be recorded is not answered.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import random
import re
from functools import lru_cache

from starlette.types import Scope

from schemas.outcomes import FhirError
from service.audit_group import AuditGroup
from service.audit_interactions import UNKNOWN, interaction
from service.errors import unexpected
from service.request_headers import header
from service.settings import Settings
from storage import audit_trail
from storage.audit_trail import AuditTrail
from storage.lake import Lake

REQUEST_ID_HEADER = "X-Request-Id"

_REQUEST_ID_NAME = REQUEST_ID_HEADER.lower().encode()
# Seeded by the system; an id has to be another one each time, nobody has to be unable to guess it.
_RANDOM = random.Random()  # noqa: S311
# A process that was forked must not give those of its parent.
os.register_at_fork(after_in_child=_RANDOM.seed)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class AuditRecorder:
    """Makes the audit trail of each request; what the edge does around every answer."""

    def __init__(self, *, lake: Lake, settings: Settings) -> None:
        self.lake = lake
        self.group = AuditGroup(lake)
        self.durable = settings.audit_reads == "durable"
        self.network = settings.audit_network

    def recording(self, scope: Scope) -> Recording:
        """The recording of a request; its trail is active in the `with` block."""
        return Recording(self, scope)


class Recording:
    """One request: a context manager that has its trail active."""

    __slots__ = ("_asked", "_found", "_recorder", "_token", "trail")

    def __init__(self, recorder: AuditRecorder, scope: Scope) -> None:
        self._recorder = recorder
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        self._found = interaction(scope["method"], path)
        self._asked = asked = self._found or UNKNOWN
        self.trail = AuditTrail(
            agent="anonymous",
            name=asked.name,
            action=asked.action,
            network=_shown(scope, recorder.network),
            request_id=request_id(scope),
            target=asked.target,
            lists_entities=asked.lists_entities,
        )

    def __enter__(self) -> Recording:
        self._recorder.group.began()
        self._token = self.trail.activate()
        return self

    def __exit__(self, *_: object) -> None:
        audit_trail.deactivate(self._token)
        self._recorder.group.ended()

    async def answered(self, scope: Scope, status: int) -> FhirError | None:
        """Record what is not recorded yet of a request that is about to be answered.

        `scope`: as the routes left it. Returns the failure that is to be answered instead, if any:
        an access that cannot be recorded is not answered.
        """
        if self._found is None and status not in (401, 403):
            return None
        if self._asked.named_by_client and not _has_route(scope, self._asked.name):
            self.trail.name = UNKNOWN.name
        outcome = 0 if status < 400 else 4 if status < 500 else 8
        recorder = self._recorder
        try:
            records = self.trail.finish(outcome)
            if records:
                if recorder.durable or outcome:
                    await recorder.group.write(records)
                else:
                    written = recorder.lake.record_access(records, durable=False)
                    if not written.done():  # Earlier ones could not be written.
                        await asyncio.wrap_future(written)
                    written.result()
        except FhirError as failure:
            return failure
        except Exception as failure:
            return unexpected(failure)
        return None


def request_id(scope: Scope) -> str:
    """The client's own, where it is an id; else one that is made up."""
    given = header(scope, _REQUEST_ID_NAME)
    return given if _REQUEST_ID.fullmatch(given) else f"{_RANDOM.getrandbits(64):016x}"


def _has_route(scope: Scope, name: str) -> bool:
    """Is the word of the address one of the route that was taken, and not a client's own?"""
    path = str(getattr(scope.get("route"), "path", ""))
    return name in re.split(r"[/$]+", path)


def _shown(scope: Scope, policy: str) -> str:
    """The client's address as the setting `audit_network` has it; empty where there is none."""
    client = scope.get("client")
    return _shown_address(str(client[0]), policy) if client else ""


@lru_cache(maxsize=1024)
def _shown_address(host: str, policy: str) -> str:
    if policy == "none":
        return ""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return ""  # No network peer: a test client, a socket of the file system.
    if policy == "full":
        return str(address)
    bits = 24 if address.version == 4 else 48
    return str(ipaddress.ip_network((address, bits), strict=False))
