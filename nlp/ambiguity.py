"""Names that are also something else: `PE`, `fall`, `Na`, `iron`. Decided by the line around.

Short forms of several meanings have their own table, see `senses`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from nlp.language import clinical_norm
from nlp.rules import rows
from nlp.senses import sense_of, senses
from nlp.terminology import Term

_MARK = "⟨⟩"
# Enough of a line to see a list of vital signs; little enough for a note without line ends.
_WINDOW = 120


@dataclass(frozen=True, slots=True)
class _Rule:
    needs: re.Pattern[str] | None
    refuses: re.Pattern[str] | None


@cache
def _rules() -> dict[str, _Rule]:
    return {
        name: _Rule(
            re.compile(needs, re.IGNORECASE) if needs else None,
            re.compile(refuses, re.IGNORECASE) if refuses else None,
        )
        for name, needs, refuses in rows("ambiguity.tsv", 3)
    }


def _surroundings(text: str, begin: int, end: int) -> tuple[str, str]:
    before = text[max(0, begin - _WINDOW) : begin].rpartition("\n")[2]
    after = text[end : end + _WINDOW].partition("\n")[0]
    return before, after


def shouted(text: str, begin: int, end: int) -> bool:
    """Whether the words around are all in capitals, so that case says nothing."""
    before, after = _surroundings(text, begin, end)
    around = f"{before[-40:]} {after[:40]}"
    letters = [c for c in around if c.isalpha()]
    return len(letters) >= 12 and sum(c.isupper() for c in letters) > 0.9 * len(letters)


def meant(
    text: str, begin: int, end: int, terms: Sequence[Term], *, exact: bool, section: str | None
) -> Term | None:
    """Which of `terms`, the readings of the name at `text[begin:end]`, it means there; or None.

    `section` is the category of the section that it stands in.
    """
    name = text[begin:end]
    if name in senses():
        before, after = _surroundings(text, begin, end)
        line = f"{before}{_MARK}{after}"
        loud = shouted(text, begin, end)
        chosen = sense_of(name, line, text, section, shouted=loud)
        found = next((term for term in terms if term.id == chosen), None)
        if found is None:
            return None
        general = _rules().get(f"*@{found.category}")
        return found if general is None or _passes(general, text, begin, end) else None
    for term in terms:
        if is_meant(text, begin, end, term.category, exact=exact):
            return term
    return None


def is_meant(text: str, begin: int, end: int, category: str, *, exact: bool) -> bool:
    """Whether the name at `text[begin:end]` is the clinical term of `category` that it spells.

    `exact` says that it matched a case-sensitive alias. A name without a rule always is.
    """
    name = text[begin:end].lower()
    general = _rules().get(f"*@{category}")
    if general is not None and not _passes(general, text, begin, end):
        return False
    rule = _rule(name, category) or _rule(clinical_norm(name), category)
    if rule is None:
        return True
    if rule.needs is None and rule.refuses is None:
        return not (exact and shouted(text, begin, end))
    return _passes(rule, text, begin, end)


def _passes(rule: _Rule, text: str, begin: int, end: int) -> bool:
    before, after = _surroundings(text, begin, end)
    line = f"{before}{_MARK}{after}"
    if rule.needs is not None and not rule.needs.search(line):
        return False
    return rule.refuses is None or not rule.refuses.search(line)


def _rule(name: str, category: str) -> _Rule | None:
    rules = _rules()
    return rules.get(f"{name}@{category}") or rules.get(name)
