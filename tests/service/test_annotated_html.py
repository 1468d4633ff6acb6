"""The HTML page of an annotated note: whole, escaped, honest about what is not so."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.annotated_html import annotated_html


def entity(begin: int, end: int, text: str, **more: Any) -> dict[str, Any]:
    return {
        "text": text[begin:end],
        "span": [begin, end],
        "category": "CONDITION",
        "traits": [],
        "attributes": [],
        "concepts": [],
        "score": 0.9,
        **more,
    }


class Note(HTMLParser):
    """The words of the note as a reader sees them, without the labels."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self._depth: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "div" or self._depth:
            self._depth.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._depth:
            self._depth.pop()

    def handle_data(self, data: str) -> None:
        if self._depth and self._depth[-1] != "small":
            self.text += data


@given(
    st.text(
        alphabet=st.characters(exclude_characters="\r\0", exclude_categories=("Cs",)), min_size=1
    ),
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 10)), max_size=6),
)
def test_the_note_is_all_there_whatever_is_marked(text: str, spans: list[tuple[int, int]]) -> None:
    entities = [
        entity(b, min(b + n, len(text)), text, attributes=[
            {"type": "DOSE", "text": text[:1], "span": [0, 1], "value": None}])
        for b, n in spans if b < len(text)
    ]  # fmt: skip
    page = annotated_html(text, {"entities": entities, "pipeline": "p"})
    reader = Note()
    reader.feed(page)
    assert reader.text == text
    assert page.count("<tr><td>") == len(entities)


def test_nothing_of_the_note_becomes_markup() -> None:
    text = "<script>alert(1)</script> & \"fever\" 'x'"
    begin = text.index("fever")
    page = annotated_html(text, {"entities": [entity(begin, begin + 5, text)], "pipeline": "p"})
    assert "<script" not in page
    assert "alert(1)" in unescape(re.sub(r"<[^>]*>", "", page))


def test_a_negated_mention_says_so_in_words() -> None:
    text = "No fever."
    marked = entity(3, 8, text, traits=["NEGATED"])
    page = annotated_html(text, {"entities": [marked], "pipeline": "p"})
    assert 'data-traits="NEGATED"' in page
    assert "<small>condition, negated</small>" in page
