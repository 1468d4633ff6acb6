"""The text of the notes that a DocumentReference carries.

`text/plain` (in the charset it declares, UTF-8 otherwise) and HTML are read; other content is
stored all the same, but not read as text. https://hl7.org/fhir/R4/documentreference.html
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from html.parser import HTMLParser
from typing import Any

from schemas.outcomes import FhirError, error

# A pathology report is some 10 kB, a whole stay's notes some 1 MB.
DEFAULT_MAX_BYTES = 10 * 1024 * 1024

# Gives (content type, bytes) of a Binary by its logical id; FhirError when there is none.
ReadBinary = Callable[[str], tuple[str, bytes]]

_HTML = frozenset({"text/html", "application/xhtml+xml"})
_BINARY_URL = re.compile(r"Binary/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?")
# Control characters that no text has; form feed is a page break in transcribed reports.
_GARBAGE = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_NO_CHARSETS = frozenset(
    {"unicode-escape", "raw-unicode-escape", "idna", "punycode", "undefined", "mbcs", "oem"}
)
_WHITE = re.compile(r"\s+")
_RUN = re.compile(r"[ \t\r\f\xa0]+")
_GAP = re.compile(r"\n{3,}")


@dataclass(frozen=True)
class Note:
    """One attachment: its text, or why it has none.

    `index` is that of `DocumentReference.content`; `content_type` the media type without its
    parameters. `text` is None for what is stored but not read, and `reason` then says why.
    """

    index: int
    text: str | None
    content_type: str
    reason: str | None = None


def note_text(
    document_reference: dict[str, Any],
    read_binary: ReadBinary,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> list[Note]:
    """The text of each attachment, in order.

    `read_binary` is called for a `url` of the form `Binary/id`. Text is returned as it was sent,
    so that spans count its code points; of HTML only the words are kept, with line breaks where
    blocks end: markup, styles, scripts, images and links' addresses are lost.

    Raises FhirError, naming the element: `value` for data that is not base64, is empty, is not
    text in the declared charset, or is no text at all; `too-large` beyond `max_bytes` of decoded
    data; whatever `read_binary` raises.
    """
    notes = []
    for index, content in enumerate(document_reference.get("content") or ()):
        attachment = content.get("attachment") if isinstance(content, dict) else None
        if isinstance(attachment, dict):
            place = f"DocumentReference.content[{index}].attachment"
            notes.append(_note(index, attachment, place, read_binary, max_bytes))
    return notes


def _note(
    index: int, attachment: dict[str, Any], place: str, read_binary: ReadBinary, max_bytes: int
) -> Note:
    declared = str(attachment.get("contentType") or "")
    data, url = attachment.get("data"), attachment.get("url")
    if data is not None:
        element = f"{place}.data"
        body = _decoded(data, element)
    elif isinstance(url, str) and (found := _BINARY_URL.fullmatch(url)) is not None:
        element = f"{place}.url"
        try:
            stored_type, body = read_binary(found[1])
        except FhirError as failure:
            raise _at(failure, element) from None
        declared = declared or stored_type
    elif url is not None:
        return Note(index, None, _media_type(declared), "its url is not that of a Binary here")
    else:
        return Note(index, None, _media_type(declared), "it has neither data nor url")
    if len(body) > max_bytes:
        raise _too_large(element, max_bytes)
    if not body:
        raise error(
            "value",
            f"{element} has 0 bytes of content. Send the note's text, or leave the attachment's "
            "data out and say why in an extension.",
            element,
        )
    return _read(index, declared, body, element, place)


def _read(index: int, declared: str, body: bytes, element: str, place: str) -> Note:
    kind = _media_type(declared)
    if not kind:
        raise error(
            "value",
            f"{place}.contentType is missing, so what {element} holds cannot be known (att-1: an "
            "attachment with data has one). Say text/plain, with its charset unless it is UTF-8.",
            f"{place}.contentType",
        )
    if kind != "text/plain" and kind not in _HTML:
        return Note(index, None, kind, f"{kind} is stored but not read as text")
    text = _text(body, _charset(declared, place), element)
    if kind in _HTML:
        text = _words(text)
    if not text.strip():
        raise error("value", f"{element} holds nothing but white space.", element)
    return Note(index, text, kind)


def plain_text(body: bytes, content_type: str, place: str) -> str:
    """The characters of a `text/plain` body in the charset that `content_type` declares.

    `place` (`DocumentReference.content[0].attachment`) names the element in the issues. Raises
    FhirError `value`: empty, not text in that charset, an unknown charset.
    """
    element = f"{place}.data"
    text = _text(body, _charset(content_type, place), element)
    if not text.strip():
        raise error("value", f"{element} holds nothing but white space.", element)
    return text


def _decoded(data: Any, element: str) -> bytes:
    try:
        return base64.b64decode(_WHITE.sub("", data), validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise error(
            "value",
            f"{element} is not base64. FHIR carries attachment content in base64, text as well.",
            element,
        ) from None


def _text(body: bytes, charset: str, element: str) -> str:
    try:
        text = body.decode(charset)
    except UnicodeError as failure:
        start = getattr(failure, "start", 0)
        raise error(
            "value",
            f"{element} is not text in {charset}: byte {start} of {len(body)} begins no "
            "character. If it is Latin-1 (Western European) text, declare it: "
            '"contentType": "text/plain; charset=iso-8859-1"; else convert it to UTF-8.',
            element,
        ) from None
    text = text.removeprefix("\ufeff")
    if (found := _GARBAGE.search(text)) is not None:
        raise error(
            "value",
            f"{element} is no text: it holds the control character U+{ord(found[0]):04X} at "
            f"character {found.start()}. If it is a PDF, an image or the like, declare its own "
            "contentType.",
            element,
        )
    return text


def _media_type(declared: str) -> str:
    return declared.partition(";")[0].strip().lower()


def _charset(declared: str, place: str) -> str:
    message = Message()
    message["Content-Type"] = declared
    name = str(message.get_param("charset", "utf-8"))
    try:
        found = codecs.lookup(name)
        # Python also calls base64 and zip codecs; those, and its own escapes, are no charsets.
        if found._is_text_encoding and found.name not in _NO_CHARSETS:
            return found.name
    except (LookupError, ValueError):
        pass
    raise error(
        "value",
        f"{place}.contentType names a charset that is not known. Use utf-8, iso-8859-1, "
        "windows-1252 or another registered name.",
        f"{place}.contentType",
    )


def _too_large(element: str, max_bytes: int) -> FhirError:
    return error(
        "too-large",
        f"{element} is larger than the {max_bytes:,} bytes that a note may have. Split the "
        "document, or raise the limit in the settings.",
        element,
    )


def _at(failure: FhirError, element: str) -> FhirError:
    """The failure to read a Binary, as one of the element that names it."""
    missing = failure.category in ("not-found", "deleted")
    category = "business-rule" if missing else failure.category
    return error(category, f"{element} cannot be read: {failure}", element)


class _Words(HTMLParser):
    """Collects the words of HTML; a block's end is a line's end."""

    _BLOCKS = frozenset(
        {"p", "div", "br", "li", "ul", "ol", "tr", "table", "hr", "pre", "section", "article"}
        | {"h1", "h2", "h3", "h4", "h5", "h6", "dt", "dd", "blockquote", "header", "footer"}
    )
    _CELLS = frozenset({"td", "th"})
    _SILENT = frozenset({"script", "style", "head", "template"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._SILENT:
            self.silent += 1
        elif tag in self._BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._SILENT:
            self.silent = max(0, self.silent - 1)
        elif tag in self._BLOCKS:
            self.parts.append("\n")
        elif tag in self._CELLS:
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.parts.append(data)


def _words(html: str) -> str:
    parser = _Words()
    parser.feed(html)
    parser.close()
    lines = [_RUN.sub(" ", line).strip() for line in "".join(parser.parts).split("\n")]
    return _GAP.sub("\n\n", "\n".join(lines)).strip()
