"""Every request leaves an audit event, before its answer leaves.

`AuditRecorder` has a trail active while a request is dealt with (see `storage.audit_trail`): a
change is recorded with it in the change's own transaction; anything else, refusals included, when
the answer begins. An access that cannot be recorded is not answered.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemas.outcomes import FhirError, error
from service.audit_group import AuditGroup
from service.audit_interactions import UNKNOWN, interaction
from service.errors import outcome_response, unexpected
from service.settings import Settings
from storage import audit_trail
from storage.audit_record import PURPOSES
from storage.audit_trail import AuditTrail
from storage.lake import Lake

PURPOSE_HEADER = "X-Purpose-Of-Use"
REQUEST_ID_HEADER = "X-Request-Id"

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class AuditRecorder:
    """ASGI middleware around everything that can answer a request, authentication included."""

    def __init__(self, app: ASGIApp, *, lake: Lake, settings: Settings) -> None:
        self.app = app
        self.lake = lake
        self.group = AuditGroup(lake)
        self.durable = settings.audit_reads == "durable"
        self.network = settings.audit_network

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and hold its answer until it is recorded."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = headers.get(REQUEST_ID_HEADER, "")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = os.urandom(8).hex()
        found = interaction(scope["method"], scope["path"])
        asked = found or UNKNOWN
        trail = AuditTrail(
            agent="anonymous",
            name=asked.name,
            action=asked.action,
            network=_shown(scope, self.network),
            request_id=request_id,
            target=asked.target,
            lists_entities=asked.lists_entities,
        )
        withheld = False

        async def record_first(message: Message) -> None:
            nonlocal withheld
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
                if found is not None or message["status"] in (401, 403):
                    if asked.named_by_client and not _has_route(scope, asked.name):
                        trail.name = UNKNOWN.name
                    failure = await self._record(trail, message["status"])
                    if failure is not None:
                        withheld = True
                        await outcome_response(failure)(scope, receive, send)
            if not withheld:
                await send(message)

        self.group.began()
        try:
            with trail.active():
                await self.app(scope, receive, record_first)
        finally:
            self.group.ended()

    async def _record(self, trail: AuditTrail, status: int) -> FhirError | None:
        """Record what is not recorded yet; the failure that is to be answered instead, if any."""
        outcome = 0 if status < 400 else 4 if status < 500 else 8
        try:
            records = trail.finish(outcome)
            if records:
                if self.durable or outcome:
                    await self.group.write(records)
                else:
                    written = self.lake.record_access(records, durable=False)
                    if not written.done():  # Earlier ones could not be written.
                        await asyncio.wrap_future(written)
                    written.result()
        except FhirError as failure:
            return failure
        except Exception as failure:
            return unexpected(failure)
        return None


class PurposeOfUse:
    """ASGI middleware behind authentication: why is it asked, in a code of v3-PurposeOfUse."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note the purpose for the audit event, or refuse what is none (400)."""
        if scope["type"] == "http":
            purpose = Headers(scope=scope).get(PURPOSE_HEADER, "").strip()
            trail = audit_trail.current()
            if purpose and purpose not in PURPOSES:
                await outcome_response(_no_purpose())(scope, receive, send)
                return
            if purpose and trail is not None:
                trail.purpose = purpose
        await self.app(scope, receive, send)


def _has_route(scope: Scope, name: str) -> bool:
    """Is the word of the address one of the route that was taken, and not a client's own?"""
    path = str(getattr(scope.get("route"), "path", ""))
    return name in re.split(r"[/$]+", path)


def _no_purpose() -> FhirError:
    return error(
        "value",
        f"{PURPOSE_HEADER} is no code of http://terminology.hl7.org/ValueSet/v3-PurposeOfUse "
        "(TREAT, HPAYMT, HRESCH, …).",
        f"http.{PURPOSE_HEADER}",
    )


def _shown(scope: Scope, policy: str) -> str:
    """The client's address as the setting `audit_network` has it; empty where there is none."""
    client = scope.get("client")
    if policy == "none" or not client:
        return ""
    try:
        address = ipaddress.ip_address(str(client[0]).partition("%")[0])
    except ValueError:
        return ""  # No network peer: a test client, a socket of the file system.
    if policy == "full":
        return str(address)
    bits = 24 if address.version == 4 else 48
    return str(ipaddress.ip_network((address, bits), strict=False))
