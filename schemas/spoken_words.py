"""Words of texts: those of narratives, and the sounds of names.

Sounds are American Soundex (the rules of the US National Archives): the first letter, and three
digits for the consonants after it. https://www.archives.gov/research/census/soundex
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import lru_cache
from typing import Any

from schemas.folding import normalized

_TAGS = re.compile(r"<!--.*?-->|<[^>]*>", re.DOTALL)
_WORD = re.compile(r"\w+")
_DIGITS = {
    letter: digit
    for letters, digit in (
        ("bfpv", "1"),
        ("cgjkqsxz", "2"),
        ("dt", "3"),
        ("l", "4"),
        ("mn", "5"),
        ("r", "6"),
    )
    for letter in letters
}
_LENGTH = 4

MAX_WORD = 64
"""Characters of a word that count; longer ones are no words."""


def words(text: str) -> list[str]:
    """The distinct words of a text, folded: runs of letters, digits and underscores."""
    return list(dict.fromkeys(word[:MAX_WORD] for word in _WORD.findall(normalized(text))))


def words_of_xhtml(text: str) -> list[str]:
    """The distinct words of what a narrative shows; not those of its markup."""
    return words(html.unescape(_TAGS.sub(" ", text)))


# Base64 is no text, and ids of its own are not what a resource says.
_NOT_CONTENT = frozenset({"data", "id", "versionId", "lastUpdated", "resourceType"})


def words_of_resource(resource: dict[str, Any]) -> list[str]:
    """The distinct words of all texts in a resource, its narrative and codes among them."""
    found: dict[str, None] = {}
    waiting: list[Any] = [resource]
    while waiting:
        item = waiting.pop()
        if type(item) is list:
            waiting += item
        elif type(item) is str:
            found.update(dict.fromkeys(words(item)))
        elif type(item) is dict:
            for key, value in item.items():
                if key == "div" and type(value) is str:
                    found.update(dict.fromkeys(words_of_xhtml(value)))
                elif key not in _NOT_CONTENT:
                    waiting.append(value)
    return list(found)


def sounds(text: str) -> list[str]:
    """The distinct sounds of the words of a name."""
    return list(dict.fromkeys(soundex(word) for word in words(text)))


@lru_cache(maxsize=65_536)
def soundex(word: str) -> str:
    """The sound of a folded word; one that is not all Latin letters is its own sound."""
    letters = unicodedata.normalize("NFKD", word)
    word = "".join(one for one in letters if not unicodedata.combining(one)).casefold()
    if not (word.isascii() and word.isalpha()):
        return word
    found, last = word[0].upper(), _DIGITS.get(word[0], "")
    for letter in word[1:]:
        digit = _DIGITS.get(letter, "")
        if digit and digit != last:
            found += digit
        # A vowel separates two letters of one digit; h and w do not.
        if letter not in "hw":
            last = digit
    return found[:_LENGTH].ljust(_LENGTH, "0")
