"""Why is it asked: `X-Purpose-Of-Use`, a code of v3-PurposeOfUse, for the audit event."""

from __future__ import annotations

from starlette.types import Scope

from schemas.outcomes import error
from service.request_headers import header
from storage import audit_trail
from storage.audit_record import PURPOSES

PURPOSE_HEADER = "X-Purpose-Of-Use"

_NAME = PURPOSE_HEADER.lower().encode()


def purpose_of(scope: Scope) -> None:
    """Note the purpose for the audit event. Raises `value` (400) for what is none."""
    purpose = header(scope, _NAME).strip()
    if not purpose:
        return
    if purpose not in PURPOSES:
        raise error(
            "value",
            f"{PURPOSE_HEADER} is no code of "
            "http://terminology.hl7.org/ValueSet/v3-PurposeOfUse (TREAT, HPAYMT, HRESCH, …).",
            f"http.{PURPOSE_HEADER}",
        )
    trail = audit_trail.current()
    if trail is not None:
        trail.purpose = purpose
