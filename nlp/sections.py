"""Sections: which header a word stands under.

A header is a known title followed by a colon, or alone on its line; an unknown title in capitals
with a colon opens a section `other`, so that nothing leaks out of, say, Family History. Titles are
data (`rules/sections.tsv`); an inline sub-title such as `Mother:` does not end a section.
"""

import re
from dataclasses import dataclass, replace
from functools import cache

from spacy.language import Language
from spacy.tokens import Doc

from nlp.rules import rows

OTHER = "other"
# A part of a review of systems or an examination (`HEENT:`): no section of its own.
_BODY_SYSTEM = "body_system"
_WITH_SYSTEMS = frozenset(("review_of_systems", "physical_exam", "vital_signs"))


@dataclass(frozen=True, slots=True)
class Section:
    """`[begin, end)` in code points; the header is `[begin, body)`, `title` as written."""

    category: str | None
    title: str
    begin: int
    body: int
    end: int


_LINE_HEADER = re.compile(
    r"^[ \t]*(?:[#*=_>]+[ \t]*|\d{1,2}[.)][ \t]*)?"
    r"(?P<title>[A-Za-z][A-Za-z&/,'’() \-]{0,58}?)[ \t]*"
    r"(?:[*_]{1,2})?(?:(?P<colon>:)[*_]{0,2}|[ \t]+[-–—](?=[ \t])|(?P<eol>[*_=]*[ \t]*\r?$))",
    re.MULTILINE,
)
_INLINE_HEADER = re.compile(
    r"(?<=[.,;!?)\]])[ \t]*(?P<title>[A-Z][A-Z&/,'’ \-]{1,48}[A-Z])[ \t]*:"
    r"|(?<=[.;!?])[ \t]+(?P<titlecase>[A-Z][A-Za-z&/'’ \-]{2,48})[ \t]*:"
)
_SPACES = re.compile(r"[\s\-]+")
# `ALL: PCN` is an allergy, `All: good` is not.
_SHOUTED_ONLY = "all"
_SHORT = frozenset(("family_history", "allergies"))
# Lines that go on a list begun behind the header: bullets, relatives.
_CONTINUED = re.compile(
    r"(?:\n[ ]?(?:[-*•·+]|\d{1,2}[.)]|(?:(?:maternal|paternal)[ ])?(?:mother|father|sister|brother"
    r"|son|daughter|aunt|uncle|cousin|grandmother|grandfather|sibling|parent|children|mgm|mgf|pgm"
    r"|pgf)s?\b)[^\n]*)+",
    re.IGNORECASE,
)
# Under a header alone on its line: everything up to the first blank line after content.
_CONTENT = re.compile(r"\s*[^\n]+(?:\n(?=[ ]?\S)[^\n]+)*")
# A title in mixed case without a colon is only a header when it stands alone on its line.
_MAX_TITLE_WORDS = 7


@cache
def _titles() -> dict[str, str]:
    return {_key(title): category for title, category in rows("sections.tsv", 2)}


def _key(title: str) -> str:
    key = _SPACES.sub(" ", title.lower().replace("’", "'")).strip(" ,")
    return key.split(" (", 1)[0]


def is_body_system(title: str) -> bool:
    """Whether a title heads a part of a review of systems or of an examination: `HEENT`."""
    return _titles().get(_key(title)) in (_BODY_SYSTEM, "vital_signs")


def find_sections(text: str, opening: Section | None = None) -> list[Section]:
    """The sections of `text`, in order, without gaps; `opening` is the one it begins in."""
    titles = _titles()
    headers: dict[int, tuple[int, str | None, str]] = {}
    for match in _LINE_HEADER.finditer(text):
        title = match["title"].strip()
        category = titles.get(_key(title))
        if category is None:
            shouted = title.isupper() and len(title) > 3 and len(title.split()) <= _MAX_TITLE_WORDS
            if not (match["colon"] and shouted):
                continue
            category = OTHER
        elif not _may_head(title, match):
            continue
        headers[match.start("title")] = (match.end(), category, title)
    for match in _INLINE_HEADER.finditer(text):
        group = "title" if match["title"] else "titlecase"
        title = match[group].strip()
        category = titles.get(_key(title))
        if category is None:
            if group == "titlecase" or len(title) <= 3 or len(title.split()) > _MAX_TITLE_WORDS:
                continue
            category = OTHER
        elif group == "titlecase" and len(title) < 4 and not title.endswith("Hx"):  # `FHx:`
            continue
        headers.setdefault(match.start(group), (match.end(), category, title))
    _close_short_sections(text, headers)
    first_category, first_title = (
        (opening.category, opening.title) if opening is not None else (None, "")
    )
    starts = sorted(headers)
    sections = [Section(first_category, first_title, 0, 0, starts[0] if starts else len(text))]
    for position, begin in enumerate(starts):
        body, category, title = headers[begin]
        end = starts[position + 1] if position + 1 < len(starts) else len(text)
        if category == _BODY_SYSTEM:
            inside = sections[-1].category
            if inside in _WITH_SYSTEMS:
                category = "physical_exam" if inside == "vital_signs" else inside
            elif title.isupper() and len(title) > 3:
                category = OTHER
            else:  # `Back: …` in a history is a remark, no header.
                sections[-1] = replace(sections[-1], end=end)
                continue
        # A shouted sub-title inside a section of facts about others must not end that section.
        if category == OTHER and sections[-1].category == "family_history" and len(title) < 12:
            category = "family_history"
        sections.append(Section(category, title, begin, min(body, end), end))
    return sections


def _may_head(title: str, match: re.Match[str]) -> bool:
    """Whether a known title is written as one: a word alone on its line needs its capital."""
    if title.lower() == _SHOUTED_ONLY:
        return title.isupper() and match["colon"] is not None
    return match["eol"] is None or (title[0].isupper() and len(title) > 2)


def _close_short_sections(text: str, headers: dict[int, tuple[int, str | None, str]]) -> None:
    """End the sections whose facts are dangerous elsewhere where their content visibly ends.

    What follows `Allergies: penicillin` on the next line, or after a blank one, is no allergy.
    """
    starts = sorted(headers)
    for position, begin in enumerate(starts):
        body, category, _ = headers[begin]
        if category not in _SHORT:
            continue
        limit = starts[position + 1] if position + 1 < len(starts) else len(text)
        line_end = text.find("\n", body, limit)
        inline = text[body : line_end if line_end >= 0 else limit].strip()
        if inline:
            end = _CONTINUED.match(text, line_end, limit) if line_end >= 0 else None
            close = end.end() if end else line_end
        else:
            content = _CONTENT.match(text, body, limit)
            close = content.end() if content else -1
        if 0 <= close < limit and text[close:limit].strip():
            headers[close] = (close, None, "")


@Language.component("sections", assigns=["doc._.sections"])
def sections(doc: Doc) -> Doc:
    """Set `doc._.sections`, beginning in the section that the chunk before ended in."""
    doc._.sections = find_sections(doc.text, doc.user_data.get("opening_section"))
    return doc


Doc.set_extension("sections", default=[], force=True)
