"""Remains of RTF, HTML and HL7: read as what they stand for, quoted as they were written."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlp.layout import Layout


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("<p>Denies <b>fever</b>.</p><p>Has cough</p>", "\nDenies fever.\n\nHas cough\n"),
        ("Na&nbsp;138, K &lt;3 &amp; Cr&#32;1.2", "Na 138, K <3 & Cr 1.2"),
        ("HR <60 & BP >90; pH<7.2", "HR <60 & BP >90; pH<7.2"),
        ("a < b > c", "a < b > c"),
        ("<style>p {color: red}</style>asthma<!-- no -->", "asthma"),
        ("<tr><td>Na</td><td>138</td></tr>", "\n Na 138\n"),
        ("DM<br>\nHTN<br/>\nCHF<br />", "DM\n HTN\n CHF\n"),
        (r"{\rtf1\ansi{\fonttbl{\f0 Arial;}}\f0 Has \b asthma\b0 .\par No fever.}", None),
        (r"\pard\plain\fs20 Has asthma.\par No fever.", None),
        (r"Has asthma.\.br\No fever\T\chills", "Has asthma.\nNo fever&chills"),
        (r"C:\temp and \alpha", r"C:\temp and \alpha"),
    ],
)
def test_what_it_stands_for(text: str, clean: str | None) -> None:
    assert Layout(text).clean == (clean or "Has asthma.\nNo fever.")


@pytest.mark.parametrize(
    ("text", "word", "quoted"),
    [
        ("has caf&eacute;", "café", "caf&eacute;"),
        (r"\par\pard\plain Sj\'f6gren", "Sjögren", r"Sj\'f6gren"),
        ("<b>fever</b>", "fever", "fever"),
        ("chest <b>pain</b>.", "chest pain", "chest <b>pain"),
        ("&quot;fever&quot;", '"fever"', "&quot;fever&quot;"),
    ],
)
def test_spans_quote_the_original(text: str, word: str, quoted: str) -> None:
    layout = Layout(text)
    begin = layout.clean.index(word)
    start, end = layout.original_span(begin, begin + len(word))
    assert text[start:end] == quoted


_MARKUP = (
    r"<p> </p> <br/> <b> <!-- --> <style> &lt; &eacute; & < \par \par\pard \'e9 {\rtf1 {\* } {"
    r" \u233? \.br\ \ fever ."
)
_PIECES = st.lists(
    st.sampled_from([*_MARKUP.split(), "\r\n", "\n", " ", "\x00", "😀", "\u200b", "  ", "\x0c"]),
    max_size=40,
).map("".join)


@given(st.one_of(_PIECES, st.text(max_size=200)))
def test_every_character_has_its_place(text: str) -> None:
    layout = Layout(text)
    before = 0
    for offset in range(len(layout.clean)):
        begin, end = layout.original_span(offset, offset + 1)
        assert before <= begin < end <= len(text)
        before = begin
    begin, end = layout.original_span(0, len(layout.clean))
    assert 0 <= begin <= end <= len(text)


@pytest.mark.parametrize("piece", ["<!--", "<style>", "<b ", "{\\*", "{\\rtf1", "&a", "\\u9", "}"])
def test_markup_is_read_in_linear_time(piece: str) -> None:
    started = time.process_time()
    Layout(piece * 20_000)
    assert time.process_time() - started < 2
