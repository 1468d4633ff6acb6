"""Text as the encoder reads it: whole sentences packed into windows of a bounded length.

A window is `[CLS] sentence [SEP] sentence [SEP] …`; the neighbours are context. A sentence that is
longer than a window is read in overlapping parts, and each word counts in the part in which it
stands farther from the edge, so that text without an end takes no more memory than any other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nlp.models.gazetteer import Gazetteer
from nlp.models.wordpiece import CLS, SEP, word_spans

Span = tuple[int, int]
# Words that two parts of a long sentence share.
_OVERLAP = 24


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the text: where it stands, its pieces, its dictionary feature."""

    span: Span
    pieces: tuple[int, ...]
    feature: int


@dataclass(slots=True)
class Window:
    """Piece ids and features; for each word that counts, its span and where its pieces stand.

    `separator` ends each sentence.
    """

    ids: list[int]
    separator: int
    features: list[int] = field(default_factory=lambda: [0])
    spans: list[Span] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)
    # The number of the sentence that each word belongs to.
    sentence: list[int] = field(default_factory=list)

    def add(self, number: int, words: Sequence[Word], kept: range) -> None:
        """Append a sentence or a part of one; only the words in `kept` count."""
        for place, word in enumerate(words):
            if place in kept:
                self.spans.append(word.span)
                self.first.append(len(self.ids))
                self.last.append(len(self.ids) + len(word.pieces) - 1)
                self.sentence.append(number)
            self.ids += word.pieces
            self.features += [word.feature] * len(word.pieces)
        self.ids.append(self.separator)
        self.features.append(0)


class Pieces(Protocol):
    """What turns a word into ids: `WordPiece`, or another tokenizer."""

    def pieces(self, word: str) -> tuple[int, ...]:
        """The ids of one word, at least one."""


class Reader:
    """Makes windows of at most `size` pieces; without a gazetteer every feature is 0."""

    def __init__(
        self,
        pieces: Pieces,
        gazetteer: Gazetteer | None,
        size: int,
        marks: tuple[int, int] = (CLS, SEP),
    ) -> None:
        self._pieces = pieces
        self._gazetteer = gazetteer
        self._size = size
        self._marks = marks

    def _window(self) -> Window:
        begin, separator = self._marks
        return Window([begin], separator)

    def words(self, text: str, begin: int, end: int) -> list[Word]:
        """The words of one sentence."""
        spans = word_spans(text, begin, end)
        written = [text[b:e] for b, e in spans]
        features = (
            [0] * len(written) if self._gazetteer is None else self._gazetteer.features(written)
        )
        pieces = self._pieces.pieces
        return [
            Word(span, pieces(word), feature)
            for span, word, feature in zip(spans, written, features, strict=True)
        ]

    def windows(self, text: str, sentences: Sequence[Span]) -> Iterator[Window]:
        """The windows of `text`, whose sentences are given as spans in order.

        The words of all windows, one after the other, are the words of the text, each once.
        """
        window = self._window()
        for number, (begin, end) in enumerate(sentences):
            words = self.words(text, begin, end)
            if not words:
                continue
            for part, kept in _parts(words, self._size - 2):
                length = sum(len(word.pieces) for word in part) + 1
                if len(window.ids) > 1 and len(window.ids) + length > self._size:
                    yield window
                    window = self._window()
                window.add(number, part, kept)
        if window.spans:
            yield window


def _parts(words: list[Word], room: int) -> Iterator[tuple[list[Word], range]]:
    """A sentence as parts of at most `room` pieces, with the words that count in each."""
    begin = 0
    skipped = 0
    while True:
        length = 0
        end = begin
        while end < len(words) and (length + len(words[end].pieces) <= room or end == begin):
            length += len(words[end].pieces)
            end += 1
        if end == len(words):
            yield words[begin:end], range(skipped, end - begin)
            return
        overlap = min(_OVERLAP, (end - begin) // 2)
        kept = end - begin - overlap // 2
        yield words[begin:end], range(skipped, kept)
        skipped = overlap - overlap // 2
        begin = end - overlap
