"""The table of phrases, `rules/sig_phrases.tsv`, as a look-up by first word, longest first."""

from functools import cache
from itertools import product
from typing import NamedTuple

from nlp import rules
from nlp.dosage.tokens import Tokens, word_set, words_of

KINDS = word_set(
    "ROUTE SITE WHEN EACH COUNT AS_NEEDED THEN METHOD FORM TAPER SCALE NOTE ASIDE INSTRUCTION"
    " DISPENSE"
)


class Phrase(NamedTuple):
    """What a phrase says: its kind, and the value of its row (empty for `-`)."""

    kind: str
    value: str


def _slot(slot: str) -> list[tuple[str, ...]]:
    optional = slot.startswith("[")
    if optional != slot.endswith("]"):
        raise ValueError(f"nlp/rules/sig_phrases.tsv: no blank may stand in brackets: {slot}")
    found = [words_of(word) for word in slot.strip("[]").split(",")]
    return [(), *found] if optional else found


def _wordings(pattern: str) -> list[tuple[str, ...]]:
    slots = pattern.split()
    return [sum(choice, ()) for choice in product(*map(_slot, slots))]


@cache
def table() -> dict[str, list[tuple[tuple[str, ...], Phrase]]]:
    """First word → (words, phrase), longest first. ValueError for an unknown kind."""
    found: dict[str, dict[tuple[str, ...], Phrase]] = {}
    for kind, value, patterns in rules.rows("sig_phrases.tsv", 3):
        if kind not in KINDS:
            raise ValueError(f"nlp/rules/sig_phrases.tsv: unknown kind {kind}")
        phrase = Phrase(kind, "" if value == "-" else value)
        for pattern in patterns.split("|"):
            for words in _wordings(pattern):
                if words:
                    found.setdefault(words[0], {}).setdefault(words, phrase)
    return {
        first: sorted(entries.items(), key=lambda entry: -len(entry[0]))
        for first, entries in found.items()
    }


def phrase_at(t: Tokens, i: int) -> tuple[Phrase, int] | None:
    """The longest phrase at token `i`, with the place behind it."""
    words = t.words
    for wording, phrase in table().get(words[i], ()):
        j = i + len(wording)
        if tuple(words[i:j]) == wording:
            return phrase, j
    return None
