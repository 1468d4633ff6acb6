"""The text of notes."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from schemas.notes import Note, note_text
from schemas.outcomes import FhirError, error

PLACE = "DocumentReference.content[0].attachment"


def _document(*attachments: dict[str, Any]) -> dict[str, Any]:
    content = [{"attachment": attachment} for attachment in attachments]
    return {"resourceType": "DocumentReference", "content": content}


def _inline(body: bytes, kind: str | None = "text/plain") -> dict[str, Any]:
    attachment = {"data": base64.b64encode(body).decode()}
    return attachment | ({"contentType": kind} if kind else {})


def _no_binary(id: str) -> tuple[str, bytes]:
    raise error("not-found", f"Binary/{id} is not there.")


def test_plain_text_is_returned_as_sent() -> None:
    text = "Ünï\r\n\tcode 😀 \f end \n"
    assert note_text(_document(_inline(text.encode())), _no_binary) == [Note(0, text, "text/plain")]


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain; charset=iso-8859-1",
        'text/plain;charset="ISO-8859-1"',
        "Text/Plain; format=flowed; charset=latin1",
    ],
)
def test_the_declared_charset_is_used(kind: str) -> None:
    (note,) = note_text(_document(_inline("Müller".encode("latin-1"), kind)), _no_binary)
    assert note == Note(0, "Müller", "text/plain")


def test_a_byte_order_mark_is_no_text() -> None:
    (note,) = note_text(_document(_inline(b"\xef\xbb\xbfHello")), _no_binary)
    assert note.text == "Hello"


def test_several_attachments_keep_their_index() -> None:
    document = _document(_inline(b"%PDF", "application/pdf"), _inline(b"two"), {"title": "x"})
    first, second, third = note_text(document, _no_binary)
    assert (first.text, first.content_type) == (None, "application/pdf")
    assert "not read as text" in str(first.reason)
    assert (second.index, second.text, second.reason) == (1, "two", None)
    assert third.text is None and "neither data nor url" in str(third.reason)


def test_a_binary_is_read_by_id() -> None:
    asked = []

    def read(id: str) -> tuple[str, bytes]:
        asked.append(id)
        return "text/plain; charset=windows-1252", b"\x93quoted\x94"

    document = _document({"url": "Binary/b1"}, {"url": "Binary/b2/_history/1"})
    notes = note_text(document, read)
    assert asked == ["b1", "b2"]
    assert [note.text for note in notes] == ["“quoted”", "“quoted”"]


@pytest.mark.parametrize("url", ["http://x.org/fhir/Binary/1", "file:///etc/passwd", "Patient/1"])
def test_other_urls_are_never_followed(url: str) -> None:
    (note,) = note_text(_document({"url": url, "contentType": "text/plain"}), _no_binary)
    assert note.text is None and note.reason


@pytest.mark.parametrize(
    ("attachment", "category", "element", "words"),
    [
        (_inline("Müller".encode("latin-1")), "value", ".data", "charset=iso-8859-1"),
        (_inline(b"a\x00b"), "value", ".data", "U+0000"),
        (_inline(b"\x01\x02"), "value", ".data", "no text"),
        (_inline(b"  \n"), "value", ".data", "white space"),
        ({"contentType": "text/plain", "data": ""}, "value", ".data", "0 bytes"),
        ({"contentType": "text/plain", "data": "a"}, "value", ".data", "not base64"),
        ({"contentType": "text/plain", "data": "QÜ=="}, "value", ".data", "not base64"),
        ({"contentType": "text/plain", "data": 5}, "value", ".data", "not base64"),
        (_inline(b"x", None), "value", ".contentType", "is missing"),
        (_inline(b"x", "text/plain; charset=klingon"), "value", ".contentType", "not known"),
        (_inline(b"x", "text/plain; charset=base64"), "value", ".contentType", "not known"),
        (_inline(b"x", "text/plain; charset=unicode_escape"), "value", ".contentType", "not known"),
        (_inline(b"x" * 101), "too-large", ".data", "100 bytes"),
        ({"url": "Binary/none"}, "business-rule", ".url", "Binary/none is not there"),
    ],
)
def test_what_cannot_be_read(
    attachment: dict[str, Any], category: str, element: str, words: str
) -> None:
    with pytest.raises(FhirError) as caught:
        note_text(_document(attachment), _no_binary, max_bytes=100)
    assert caught.value.category == category
    assert caught.value.issues[0].expression == (PLACE + element,)
    assert words in str(caught.value)
    assert "Müller" not in str(caught.value)


def test_of_html_the_words_are_kept() -> None:
    html = (
        "<html><head><title>T</title><style>p {color:red}</style></head><body>"
        "<h1>Assessment</h1><p>Fever &amp; chills,<br>no&nbsp;cough</p>"
        "<script>alert(1)</script><table><tr><td>BP</td><td>120</td></tr></table></body></html>"
    )
    (note,) = note_text(_document(_inline(html.encode(), "text/html")), _no_binary)
    assert note.text == "Assessment\n\nFever & chills,\nno cough\n\nBP 120"


def test_nothing_attached() -> None:
    assert note_text({"resourceType": "DocumentReference"}, _no_binary) == []
    assert note_text({"content": [5, {"attachment": "x"}]}, _no_binary) == []
