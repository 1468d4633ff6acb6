"""The words, numbers and signs of an instruction, each with its place in the text.

`b.i.d.`, `q. 6 h` and `500mg` come out as `bid`, `q 6 h` and `500 mg`; offsets stay those of the
text as given.
"""

import re
from decimal import Decimal
from functools import lru_cache


def word_set(words: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(words.split())


_TOKEN = re.compile(
    r"(?P<thousands>\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d))"
    r"|(?P<number>\d+(?:\.\d+)?|(?<![a-z])\.\d+)"
    r"|(?P<vulgar>[½¼¾⅓⅔⅛])"
    r"|(?P<dotted>(?<![a-z])(?:[a-z]\.(?:[a-z]\.)+|[a-z]\.[a-z](?:\.[a-z])*(?![a-z.])"
    r"|[btq]\.[ ]i\.[ ]d\.?(?![a-z])|p\.[ ]o\.|p\.[ ]r\.[ ]n\.|q\.[ ]?h\.[ ]?s\.|q\.[ ]d\.))"
    r"|(?P<word>[^\W\d_½¼¾⅓⅔⅛]+(?:['’][a-z]+)?)"
    r"|(?P<sign>\S)"
)
_VULGAR = {
    "½": Decimal("0.5"),
    "¼": Decimal("0.25"),
    "¾": Decimal("0.75"),
    "⅛": Decimal("0.125"),
}
_SIGNS = {"–": "-", "—": "-", "−": "-", "‑": "-", "×": "x", "µ": "u", "μ": "u", "•": ";"}
# Shorthands that are written with full stops; other dotted letters (`e.g.`) stay as they are.
_DOTTED = word_set(
    "bid tid qid qd qod qhs hs po pr sl im iv sc sq ac pc prn od os ou ad as au am pm ng gt qam qpm"
    " qac qpc bds tds qds tiw inh npo pv us"
)


class Tokens:
    """A stretch of text cut up: `words[i]` stands at `text[begins[i]:ends[i]]`.

    `values[i]` is the number a token writes in digits, None for a word or a sign.
    """

    __slots__ = ("begins", "ends", "text", "values", "words")

    def __init__(self, text: str, begin: int, end: int) -> None:
        self.text = text
        self.words: list[str] = []
        self.begins: list[int] = []
        self.ends: list[int] = []
        self.values: list[Decimal | None] = []
        stretch = _folded(text[begin:end])
        for match in _TOKEN.finditer(stretch):
            word = match.group()
            kind = match.lastgroup
            start, stop = begin + match.start(), begin + match.end()
            value: Decimal | None = None
            if kind == "number":
                value = Decimal(word)
            elif kind == "thousands":
                value = Decimal(word.replace(",", ""))
            elif kind == "vulgar":
                value = _VULGAR.get(word)
            elif kind == "dotted":
                letters = re.sub(r"[. ]", "", word)
                if letters not in _DOTTED:
                    self._spelled(word, start)
                    continue
                word = letters
            elif kind == "sign":
                word = _SIGNS.get(word, word)
            self._add(word, start, stop, value)

    def _add(self, word: str, begin: int, end: int, value: Decimal | None = None) -> None:
        self.words.append(word)
        self.begins.append(begin)
        self.ends.append(end)
        self.values.append(value)

    def _spelled(self, dotted: str, begin: int) -> None:
        for at, letter in enumerate(dotted):
            if letter != " ":
                self._add(letter, begin + at, begin + at + 1)

    def __len__(self) -> int:
        return len(self.words)

    def word(self, i: int) -> str:
        """The token `i` in lower case, empty outside the stretch."""
        return self.words[i] if 0 <= i < len(self.words) else ""

    def value(self, i: int) -> Decimal | None:
        """The number that token `i` writes in digits."""
        return self.values[i] if 0 <= i < len(self.values) else None

    def glued(self, i: int) -> bool:
        """Whether token `i` follows the one before without a blank: `8am`."""
        return 0 < i < len(self.words) and self.begins[i] == self.ends[i - 1]

    def written(self, i: int, j: int) -> str:
        """The text of tokens `i` to `j - 1` as written, blanks made single."""
        return " ".join(self.text[self.begins[i] : self.ends[j - 1]].split())


def _folded(text: str) -> str:
    """Lower case, of the same length: a few letters have no lower case of one code point."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


@lru_cache(maxsize=4096)
def words_of(phrase: str) -> tuple[str, ...]:
    """The tokens of a phrase of the tables."""
    return tuple(Tokens(phrase, 0, len(phrase)).words)
