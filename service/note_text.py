"""Text of a posted note: its bytes as characters, or a refusal that says what to do."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

from schemas.ids import format_instant
from schemas.outcomes import error

ATTACHMENT = "DocumentReference.content[0].attachment.data"
_ALLOWED_CONTROLS = frozenset("\t\n\r\f\v\x85")


def plain_text(body: bytes, charset: str | None) -> str:
    """`body` decoded by its declared charset (default UTF-8).

    Raises `value` for an empty text, undecodable bytes, or bytes that are not text at all.
    """
    name = charset or "utf-8"
    if not body.strip():
        raise error("value", "The note is empty.", ATTACHMENT)
    try:
        text = body.decode(name)
    except LookupError:
        raise error("unsupported-media", f"The charset {name[:40]!r} is not known.") from None
    except UnicodeDecodeError as failure:
        raise error(
            "value",
            f"The note is not valid {name} at byte {failure.start}; if it is in another encoding, "
            "declare it: Content-Type: text/plain; charset=iso-8859-1.",
            ATTACHMENT,
        ) from None
    if any(ord(c) < 32 and c not in _ALLOWED_CONTROLS for c in text):
        raise error("value", "The note holds control bytes: this is not plain text.", ATTACHMENT)
    return text


def document_reference(
    text: str,
    *,
    patient: str,
    encounter: str | None = None,
    date: str | None = None,
    type_code: str | None = None,
    title: str | None = None,
) -> dict[str, Any]:
    """A current DocumentReference holding `text` inline as UTF-8 (R4 documentreference.html)."""
    data = text.encode()
    coding: dict[str, Any] = {"system": "http://loinc.org", "code": type_code or "34109-9"}
    if type_code is None:
        coding["display"] = "Note"
    attachment: dict[str, Any] = {
        "contentType": "text/plain; charset=utf-8",
        "data": base64.b64encode(data).decode(),
        "size": len(data),
    }
    if title:
        attachment["title"] = title
    resource: dict[str, Any] = {
        "resourceType": "DocumentReference",
        "status": "current",
        "type": {"coding": [coding]},
        "subject": {"reference": f"Patient/{patient}"},
        "date": date or format_instant(datetime.now(UTC)),
        "content": [{"attachment": attachment}],
    }
    if encounter:
        resource["context"] = {"encounter": [{"reference": f"Encounter/{encounter}"}]}
    return resource
