"""Windows: bounded, and together every word of the text once, in order."""

from hypothesis import given
from hypothesis import strategies as st

from nlp.models.windows import Reader
from nlp.models.wordpiece import WordPiece, word_spans

_SIZE = 24
_READER = Reader(WordPiece(["[PAD]", "a", "##a", "b"]), None, _SIZE)


@given(st.lists(st.integers(0, 60), max_size=8))
def test_every_word_once(lengths: list[int]) -> None:
    sentences = []
    text = ""
    for length in lengths:
        begin = len(text)
        text += "aaa b " * length + ". "
        sentences.append((begin, len(text)))
    windows = list(_READER.windows(text, sentences))
    assert all(len(window.ids) <= _SIZE for window in windows)
    assert [span for window in windows for span in window.spans] == word_spans(text)
    for window in windows:
        assert len(window.ids) == len(window.features)
        for first, last in zip(window.first, window.last, strict=True):
            assert 0 < first <= last < len(window.ids) - 1


def test_a_word_in_a_long_sentence_has_context_on_both_sides() -> None:
    text = "b " * 100
    windows = list(_READER.windows(text, [(0, len(text))]))
    for window in windows[1:]:
        assert window.first[0] > 2
    for window in windows[:-1]:
        assert window.last[-1] < len(window.ids) - 3
