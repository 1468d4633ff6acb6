"""WordPiece of uncased BERT, with the place of every word in the text.

A word is a run of letters and digits or one other mark; its pieces are looked up once and kept,
for words repeat. Offsets are those of the text as given: only the look-up is lower case and without
accents.
"""

import re
import unicodedata
from collections.abc import Iterable

PAD, UNKNOWN, CLS, SEP, MASK = 0, 100, 101, 102, 103

# A run longer than this is cut: nobody writes such words, but a hostile note may.
MAX_WORD = 64
_MAX_PIECES = 16
_CACHE = 200_000
_WORD = re.compile(rf"[^\W_]{{1,{MAX_WORD}}}|[^\w\s]|_")


def word_spans(text: str, begin: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Code point spans of the words of `text[begin:end]`."""
    stop = len(text) if end is None else end
    return [match.span() for match in _WORD.finditer(text, begin, stop)]


class WordPiece:
    """Words to ids. `vocabulary`: the pieces in order of their ids, as in BERT's `vocab.txt`.

    `lower`: whether case and accents are dropped first, as for an uncased model.
    """

    def __init__(self, vocabulary: Iterable[str], lower: bool = True) -> None:
        self._ids = {piece: number for number, piece in enumerate(vocabulary) if piece}
        self._lower = lower
        self._unknown = self._ids.get("[UNK]", UNKNOWN)
        self._known: dict[str, tuple[int, ...]] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def id_of(self, piece: str) -> int:
        """The id of a piece as written in the vocabulary; KeyError when it has none."""
        return self._ids[piece]

    def pieces(self, word: str) -> tuple[int, ...]:
        """The ids of one word: longest piece first (arXiv 1609.08144), `[UNK]` when none fit."""
        known = self._known.get(word)
        if known is None:
            if len(self._known) >= _CACHE:
                self._known.clear()
            known = self._known[word] = self._split(word)
        return known

    def _split(self, word: str) -> tuple[int, ...]:
        plain = word.lower() if self._lower else word
        if self._lower and not plain.isascii():
            plain = "".join(
                c for c in unicodedata.normalize("NFD", plain) if unicodedata.category(c) != "Mn"
            )
        found: list[int] = []
        begin = 0
        while begin < len(plain):
            mark = "##" if begin else ""
            for end in range(len(plain), begin, -1):
                number = self._ids.get(mark + plain[begin:end])
                if number is not None:
                    break
            else:
                return (self._unknown,)
            found.append(number)
            begin = end
        return tuple(found[:_MAX_PIECES]) or (self._unknown,)
