"""A place in a text that holds protected health information."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

NAME, DATE, AGE = "NAME", "DATE", "AGE"
PHONE, FAX, EMAIL, URL, IP = "PHONE", "FAX", "EMAIL", "URL", "IP"
SSN, MRN, IDENTIFIER = "SSN", "MRN", "ID"
LOCATION, ZIP, ORGANIZATION = "LOCATION", "ZIP", "ORGANIZATION"
# In order of precedence where two overlap: what is certain by its form comes first.
CATEGORIES = (
    EMAIL, URL, SSN, MRN, FAX, PHONE, IP, IDENTIFIER, DATE, AGE, NAME, ORGANIZATION, LOCATION, ZIP,
)  # fmt: skip
_RANK = {category: rank for rank, category in enumerate(CATEGORIES)}


@dataclass(frozen=True, slots=True)
class PhiSpan:
    """`text[begin:end]` in code points; `score` is how sure the rule is (0 to 1)."""

    begin: int
    end: int
    category: str
    score: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """The JSON of one span: places, never the text itself."""
        return {
            "span": [self.begin, self.end],
            "category": self.category,
            "score": self.score,
        }


def merged(spans: Iterable[PhiSpan]) -> list[PhiSpan]:
    """The spans in order, overlapping ones made one: nothing that any rule found is given up.

    The union has the category of the longer, of the surer if both are as long.
    """
    found: list[PhiSpan] = []
    for span in sorted(spans, key=lambda s: (s.begin, -s.end)):
        if span.begin >= span.end:
            continue
        if not found or span.begin >= found[-1].end:
            found.append(span)
            continue
        last = found[-1]
        first = max((last, span), key=lambda s: (s.end - s.begin, s.score, -_RANK[s.category]))
        found[-1] = PhiSpan(
            last.begin, max(last.end, span.end), first.category, max(last.score, span.score)
        )
    return found
