"""Annotation schemes: the types that each head knows, and their tags.

A tag says of a word that it is alone, begins, continues or ends a mention (`S B I E`), or is
outside (`O`). Within a sentence only some tags may follow each other; decoding knows which.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

OUTSIDE = 0
_PARTS = "BIES"


@dataclass(frozen=True, slots=True)
class Scheme:
    """A corpus's way to annotate: its name and its types.

    `agreement`: the least mean probability over a text at which all places of a name are mentions
    (`nlp.models.agreement`); None where each place is read by itself. `least`: the probability
    below which a mention is left out.
    """

    name: str
    types: tuple[str, ...]
    agreement: float | None = None
    least: float = 0.0

    @property
    def tags(self) -> tuple[str, ...]:
        """`O`, then four tags a type."""
        return ("O", *(f"{part}-{kind}" for kind in self.types for part in _PARTS))

    def tag(self, kind: str, words: int, place: int) -> int:
        """The tag of word `place` of a mention of `words` words."""
        if words == 1:
            part = "S"
        elif place == 0:
            part = "B"
        else:
            part = "E" if place == words - 1 else "I"
        return 1 + 4 * self.types.index(kind) + _PARTS.index(part)

    def follows(self) -> NDArray[np.bool_]:
        """`[a, b]`: whether tag `b` may follow tag `a`."""
        tags = self.tags
        allowed = np.zeros((len(tags), len(tags)), dtype=np.bool_)
        for a, left in enumerate(tags):
            for b, right in enumerate(tags):
                within = left[0] in "BI"
                if within:
                    allowed[a, b] = right[0] in "IE" and right[1:] == left[1:]
                else:
                    allowed[a, b] = right[0] in "OBS"
        return allowed


# A little below one half: a place that is missed costs as much as one that is added.
_AGREEMENT = 0.4

BC5CDR = Scheme("bc5cdr", ("Chemical", "Disease"), _AGREEMENT)
NCBI = Scheme("ncbi", ("Disease",), _AGREEMENT)
# MACCROBAT has 41 types; these are the ones with enough mentions to learn from.
MACCROBAT = Scheme(
    "maccrobat",
    (
        "Medication",
        "Disease_disorder",
        "Sign_symptom",
        "Diagnostic_procedure",
        "Therapeutic_procedure",
        "Lab_value",
        "Biological_structure",
        "Detailed_description",
        "Clinical_event",
        "Severity",
        "History",
        "Date",
        "Dosage",
        "Frequency",
        "Duration",
        "Administration",
        "Age",
        "Sex",
        "Nonbiological_location",
        "Distance",
    ),
    _AGREEMENT,
    # Of twenty types that are hard to tell apart, what is as doubtful as this is mostly wrong. F1
    # is greatest somewhat below half its own value (Lipton, Elkan and Naryanaswamy, ECML 2014).
    0.2,
)
SCHEMES = (BC5CDR, NCBI, MACCROBAT)
