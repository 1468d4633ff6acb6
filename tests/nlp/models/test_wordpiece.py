"""Word pieces: offsets are the text's, ids are BERT's."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from nlp.models.wordpiece import MAX_WORD, UNKNOWN, WordPiece, word_spans

_PIECES = ["[PAD]", "aspirin", "met", "##for", "##min", "cafe", "5", "##00", "##mg", "/"]


def test_longest_piece_first() -> None:
    pieces = WordPiece(_PIECES)
    assert pieces.pieces("Metformin") == (2, 3, 4)
    assert pieces.pieces("500mg") == (6, 7, 8)
    assert pieces.pieces("Café") == (5,)
    assert pieces.pieces("xyz") == (UNKNOWN,)


def test_cased() -> None:
    pieces = WordPiece(["[UNK]", "Aspirin"], lower=False)
    assert pieces.pieces("Aspirin") == (1,)
    assert pieces.pieces("aspirin") == (0,)


def test_marks_are_words_of_their_own() -> None:
    text = "BP 120/80."
    assert [text[b:e] for b, e in word_spans(text)] == ["BP", "120", "/", "80", "."]


@given(st.text(max_size=400))
def test_words_cover_all_but_blanks(text: str) -> None:
    spans = word_spans(text)
    assert all(b < e <= b + MAX_WORD for b, e in spans)
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(spans))
    covered = {place for b, e in spans for place in range(b, e)}
    assert all(place in covered or text[place].isspace() for place in range(len(text)))
