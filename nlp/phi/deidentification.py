"""`deidentify`: the text with each span replaced, by its category or by a stand-in.

Stand-ins are the same for the same words within one note and, with the same `key`, across notes;
without the key nobody can tell from the stand-in what it stands for. Dates move by `shift_days`,
so that the time between two stays; what cannot be read as a date becomes `[DATE]`.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from nlp.phi.date_shift import shifted
from nlp.phi.finding import find
from nlp.phi.known import Known
from nlp.phi.span import AGE, DATE, IDENTIFIER, MRN, NAME, PHONE, SSN, PhiSpan

_NUMBERED = frozenset((IDENTIFIER, MRN, SSN, PHONE))
_LETTERS = re.compile(r"[a-z]")


def _token(key: bytes, category: str, words: str) -> str:
    """Six digits that stand for the words."""
    folded = " ".join(words.lower().split())
    digest = hmac.new(key, f"{category}\x1f{folded}".encode(), hashlib.sha256).digest()
    return f"{int.from_bytes(digest[:4], 'big') % 1_000_000:06d}"


def _surrogate(span: PhiSpan, words: str, key: bytes, shift_days: int) -> str:
    if span.category == DATE:
        return shifted(words, shift_days) or "[DATE]"
    if span.category == AGE:
        return "90" if words.strip().isdigit() else "over 89"
    if span.category == NAME:
        return " ".join(
            f"Name{_token(key, NAME, word)}" for word in words.replace(",", " ").split()
        )
    token = _token(key, span.category, words)
    return token if span.category in _NUMBERED else f"{span.category.capitalize()}{token}"


def deidentify(
    text: str,
    known: Known | Iterable[Mapping[str, Any]] | None = None,
    *,
    mode: Literal["tags", "surrogates"] = "tags",
    key: bytes = b"",
    shift_days: int = 0,
) -> str:
    """`text` with what `find` finds replaced: `[NAME]`, or a stand-in with `mode="surrogates"`.

    Surrogates need a secret `key` of at least 16 bytes and a `shift_days` other than 0; ValueError
    without. Use one key and one shift for all notes of a patient.
    """
    if mode == "surrogates" and (len(key) < _KEY_BYTES or shift_days == 0):
        raise ValueError("surrogates need a key of at least 16 bytes and shift_days other than 0")
    pieces: list[str] = []
    covered = 0
    for span in find(text, known):
        words = text[span.begin : span.end]
        tag = f"[{span.category}]"
        pieces.append(text[covered : span.begin])
        pieces.append(tag if mode == "tags" else _surrogate(span, words, key, shift_days))
        covered = span.end
    pieces.append(text[covered:])
    return "".join(pieces)


_KEY_BYTES = 16
