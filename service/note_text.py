"""A posted note: its bytes as characters, and the DocumentReference that holds them."""

from __future__ import annotations

import base64
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from schemas.ids import format_instant
from schemas.notes import plain_text

ATTACHMENT = "DocumentReference.content[0].attachment"


def text_of(body: bytes, charset: str | None) -> str:
    """`body` decoded by its declared charset (default UTF-8).

    Raises `value` for an empty text, undecodable bytes, or bytes that are not text at all.
    """
    return plain_text(body, f'text/plain; charset="{charset or "utf-8"}"', ATTACHMENT)


def text_of_file(name: str, charset: str) -> str:
    """The text in a file, `-` for standard input. Raises OSError, and what `text_of` does."""
    body = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    return text_of(body, charset)


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
