"""Numbers of an instruction: `1/2`, `one and a half`, `two (2)`, `1 to 2`, `one or two`.

Each reader takes the tokens and a place, and gives the value with the place behind it, or None.
"""

from decimal import Decimal

from nlp.dosage.tokens import Tokens, word_set

_WORDS = {
    word: Decimal(value)
    for value, words in (
        (1, "one una uno"), (2, "two dos"), (3, "three tres"), (4, "four cuatro"), (5, "five"),
        (6, "six"), (7, "seven"),
        (8, "eight"), (9, "nine"), (10, "ten"), (11, "eleven"), (12, "twelve"), (14, "fourteen"),
        (15, "fifteen"), (16, "sixteen"), (18, "eighteen"), (20, "twenty"), (21, "twentyone"),
        (24, "twentyfour"), (30, "thirty"), (36, "thirtysix"), (40, "forty"), (48, "fortyeight"),
        (50, "fifty"), (60, "sixty"), (72, "seventytwo"), (90, "ninety"), (100, "hundred"),
    )
    for word in words.split()
}  # fmt: skip
_TENS = frozenset(("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"))
_TENS_VALUES = {"seventy": Decimal(70), "eighty": Decimal(80)}
_PARTS = {
    "half": Decimal("0.5"), "halves": Decimal("0.5"), "quarter": Decimal("0.25"),
    "media": Decimal("0.5"), "quarters": Decimal("0.25"), "fourth": Decimal("0.25"),
    "fourths": Decimal("0.25"),
}  # fmt: skip
# Roman numerals of prescriptions, only before what they count: `iv` is a route.
_ROMAN = {"i": Decimal(1), "ii": Decimal(2), "iii": Decimal(3)}
_BEHIND_ROMAN = word_set(
    "tab tabs tablet tablets cap caps capsule capsules gtt gtts drop drops puff puffs"
)
ORDINALS = {
    "other": 2, "second": 2, "2nd": 2, "third": 3, "3rd": 3, "fourth": 4, "4th": 4, "fifth": 5,
    "sixth": 6, "seventh": 7, "eighth": 8,
}  # fmt: skip
_DENOMINATORS = frozenset((2, 3, 4, 8))

Number = tuple[Decimal, int]


def _fraction(t: Tokens, i: int) -> Number | None:
    """`1/2`: a numerator smaller than its denominator, no strength such as `5/325`."""
    top, bottom = t.value(i), t.value(i + 2)
    if top is None or bottom is None or t.word(i + 1) != "/" or t.word(i + 3) == "/":
        return None
    if top < bottom and int(bottom) in _DENOMINATORS and bottom == int(bottom):
        value = top / bottom
        if value == value.quantize(Decimal("0.001")):
            return value, i + 3
    return None


def _part_word(t: Tokens, i: int) -> Number | None:
    """`half`, `a half`, `one half`, `one-half`, `half a`, `half of a`, `three quarters`."""
    j = i
    times = Decimal(1)
    if t.word(j) in ("a", "one", "three") and (
        t.word(j + 1) in _PARTS or (t.word(j + 1) == "-" and t.word(j + 2) in _PARTS)
    ):
        times = Decimal(3) if t.word(j) == "three" else Decimal(1)
        j += 2 if t.word(j + 1) == "-" else 1
    elif t.word(j) not in _PARTS:
        return None
    value = times * _PARTS[t.word(j)]
    j += 1
    if t.word(j) == "-":
        j += 1
    if t.word(j) == "of":
        j += 1
    if t.word(j) in ("a", "an", "one"):
        j += 1
    return value, j


def _counts_roman(t: Tokens, i: int) -> bool:
    """Whether `ii` before `i` counts what stands at `i`, or begins `i-ii tabs`."""
    if t.word(i) in ("-", "to", "or") and t.word(i + 1) in _ROMAN:
        i += 2
    return t.word(i) in _BEHIND_ROMAN


def _whole(t: Tokens, i: int) -> Number | None:
    value = t.value(i)
    if value is not None:
        return value, i + 1
    word = t.word(i)
    if word in _ROMAN and _counts_roman(t, i + 1):
        return _ROMAN[word], i + 1
    if word in _TENS:
        tens = _WORDS.get(word, _TENS_VALUES.get(word))
        if tens is not None:
            j = i + 2 if t.word(i + 1) == "-" else i + 1
            units = _WORDS.get(t.word(j))
            ones = units is not None and units < _WORDS["ten"]
            return (tens + units, j + 1) if ones and units is not None else (tens, i + 1)
    found = _WORDS.get(word)
    return (found, i + 1) if found is not None else None


def number(t: Tokens, i: int) -> Number | None:
    """A number at `i`: digits, a fraction, a mixed number or words, `(2)` behind it included."""
    part = _fraction(t, i) or _part_word(t, i)
    if part is not None:
        value, j = part
        return value, _echo(t, j, value)
    whole = _whole(t, i)
    if whole is None:
        return None
    value, j = whole
    mixed = j
    if t.word(mixed) in ("and", "&", "-", "+"):
        mixed += 1
    if value == value.to_integral_value():
        added = _fraction(t, mixed) or _vulgar(t, mixed)
        if added is None and mixed > j and t.word(mixed - 1) in ("and", "&"):
            added = _half_behind(t, mixed)
        if added is not None:
            value, j = value + added[0], added[1]
    return value, _echo(t, j, value)


def _half_behind(t: Tokens, i: int) -> Number | None:
    """`(one and) a half`, `one-half`; `half a tablet` would be an amount of its own."""
    j = i
    if t.word(j) in ("a", "one"):
        j += 2 if t.word(j + 1) == "-" else 1
    if t.word(j) not in ("half", "quarter"):
        return None
    if j == i and t.word(j + 1) in ("a", "of"):
        return None
    return _PARTS[t.word(j)], j + 1


def _vulgar(t: Tokens, i: int) -> Number | None:
    value = t.value(i)
    if value is not None and t.word(i) in "½¼¾⅛":
        return value, i + 1
    return None


def _echo(t: Tokens, j: int, value: Decimal) -> int:
    """Behind `one (1)`, `1 (one)`: the same number again, in brackets or with a slash."""
    if t.word(j) == "(":
        again = number(t, j + 1) if t.word(j + 1) != "(" else None
        if again is not None and again[0] == value and t.word(again[1]) == ")":
            return again[1] + 1
    return j


def number_range(t: Tokens, i: int) -> tuple[Decimal, Decimal | None, int] | None:
    """`1`, `1-2`, `1 to 2`, `one or two`: low, high (None for one number), place behind."""
    low = number(t, i)
    if low is None:
        return None
    value, j = low
    if t.word(j) in ("-", "to", "or", "through", "thru"):
        k = j + 1
        # `1 - 2` but not `1 or 1/2 tablet`, which goes down: that is no range.
        high = number(t, k)
        if high is not None:
            if high[0] > value:
                return value, high[0], high[1]
            if t.word(j) == "or" and high[0] < value:
                return high[0], value, high[1]
    return value, None, j


def positive_int(value: Decimal | None) -> int | None:
    """The value as an int of 1 or more, None when it is none."""
    if value is None or value < 1 or value != value.to_integral_value():
        return None
    return int(value)
