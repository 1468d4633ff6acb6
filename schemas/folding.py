"""Texts as they are compared: without case, accents, punctuation and repeated spaces.

https://hl7.org/fhir/R4/search.html#string
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_SPACES = re.compile(r"\s+")
# Within numbers punctuation has a meaning: 1.0 is not 10, and 3/4 not 34.
_BETWEEN_WORDS = re.compile(r"(?<![0-9])[-‐-―/,;:()\[\]{}|]|[-‐-―/,;:()\[\]{}|](?![0-9])")
_WITHIN_WORDS = re.compile(r"(?<![0-9])[.'’‘ʼ`´\"“”„!?]|[.'’‘ʼ`´\"“”„!?](?![0-9])")


@lru_cache(maxsize=65_536)
def normalized(text: str) -> str:
    """Folded for search: case and accents away, punctuation too, runs of white space as one.

    What separates words (dashes, slashes, commas, brackets) counts as a space, apostrophes and
    full stops as nothing; between digits they stay.
    """
    if not text.isascii():
        parts = unicodedata.normalize("NFKD", text.casefold())
        text = "".join(part for part in parts if not unicodedata.combining(part))
    text = text.casefold()
    if not text.isalnum():
        text = _WITHIN_WORDS.sub("", _BETWEEN_WORDS.sub(" ", text))
        text = _SPACES.sub(" ", text).strip()
    return text
