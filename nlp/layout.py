"""A clean copy of a text for reading, and the way back to the original's code points.

Line ends become `\\n`, runs of blanks one space, hard wraps a space, invisible characters nothing,
what is left of RTF and HTML the characters it stands for.
What is left of `\\n` really ends a line. Every offset in the clean copy maps to the original, so a
mention always quotes the note exactly as it was written.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator

from nlp.markup import Edit, markup_edits

_BULLET = re.compile(
    r"[ \t]*(?:[-–—*•·o▪●>+#]+[ \t]+|[-*•▪●]+|\(?\d{1,3}[.)](?!\d)[ \t]*"
    r"|\(?[A-Za-z][.)][ \t]+|[☐☑✓])"
)
_FIRST_WORD = re.compile(r"\S+")
# Below the first width lines are list items; above the second the writer did not wrap by hand.
_WRAP_MIN, _WRAP_MAX = 50, 130
# In a paragraph of this many line ends, this share of them must look wrapped.
_MIN_BREAKS, _WRAPPED_SHARE = 3, 0.75
_DANGLING = re.compile(
    r"(?:,|/|\b(?:and|or|of|the|a|an|with|without|to|for|in|on|at|by|no|his|her|is|was|were|are|had"
    r"|has|denies))$",
    re.IGNORECASE,
)
# A drug with its amount: where it begins a line below another, it is the next item of a list.
_DRUG_LINE = re.compile(
    r"\s*[a-z][\w/'-]+(?: [a-z]\w*){0,2} \d[\d,.]*(?:[-/]\d[\d.]*)? ?"
    r"(?:mg|mcg|g|units?|meq|iu|ml|%|tabs?|caps?|puffs?)\b",
    re.IGNORECASE,
)
_DOSE_IN_LINE = re.compile(
    r"\d ?(?:mg|mcg|g|units?|meq|iu|ml|%|tabs?|caps?|puffs?)\b", re.IGNORECASE
)
_LINE_END = re.compile(r"\r\n|[\r\n\x0b\x0c\x85\u2028\u2029]")
# Control characters part words; FHIR has no place for them.
_BLANK = r"\t\x01-\x08\x0e-\x1f\x7f\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
_BLANKS = re.compile(rf"[ {_BLANK}]{{2,}}|[{_BLANK}]")
_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060\ufeff\u00ad\x00]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")
_INDENT = re.compile(r"[ \t\xa0]*+")


def _lines(text: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    position = 0
    for match in _LINE_END.finditer(text):
        found.append((position, text[position : match.start()]))
        position = match.end()
    found.append((position, text[position:]))
    return found


def _paragraphs(lines: list[tuple[int, str]]) -> Iterator[list[int]]:
    """The numbers of the lines of each run without a blank line."""
    block: list[int] = []
    for number, (_, line) in enumerate(lines):
        if line.strip():
            block.append(number)
        elif block:
            yield block
            block = []
    if block:
        yield block


def _full(previous: str, line: str, width: int) -> bool:
    """Whether the line's first word would not have fitted on the line above."""
    first = _FIRST_WORD.search(line)
    return first is not None and len(previous) + 1 + len(first.group()) > width


def wrapped_line_starts(text: str) -> set[int]:
    """Where a line starts that continues the sentence of the line before it.

    A paragraph was wrapped if at nearly all its line ends the next word would not have fitted in
    the paragraph's width; in a list only the longest line passes that test. In any paragraph a
    line that begins in lower case continues the one above if that is long, or cannot have ended
    there (`… denies chest pain,`).
    """
    lines = _lines(text)
    starts: set[int] = set()
    for block in _paragraphs(lines):
        width = max(len(lines[number][1].rstrip()) for number in block)
        breaks = [n for n in block[1:] if not _BULLET.match(lines[n][1])]
        full = {n for n in breaks if _full(lines[n - 1][1].rstrip(), lines[n][1], width)}
        prose = (
            _WRAP_MIN <= width <= _WRAP_MAX
            and len(breaks) >= _MIN_BREAKS
            and len(full) >= _WRAPPED_SHARE * len(breaks)
        )
        for number in breaks:
            start, line = lines[number]
            previous = lines[number - 1][1].rstrip()
            lower = line.strip()[0].islower()
            if (
                _DRUG_LINE.match(line)
                and _DOSE_IN_LINE.search(previous)
                and not _DANGLING.search(previous[-12:])
            ):
                continue
            goes_on = (prose and number in full) or (lower and len(previous) >= _WRAP_MIN)
            if (goes_on and previous[-1] not in ".!?:;") or (
                lower and _DANGLING.search(previous[-12:])
            ):
                starts.add(start)
    return starts


class Layout:
    """`clean` and the map from its offsets to those of `original`."""

    __slots__ = ("_clean_at", "_original_at", "_replaced", "clean", "original")

    def __init__(self, original: str) -> None:
        self.original = original
        # A lone surrogate is no character: it can be counted, not encoded.
        original = _SURROGATES.sub("\ufffd", original)
        wraps = wrapped_line_starts(original)
        edits: list[Edit] = markup_edits(original)
        covered = 0
        read = 0
        for match in _LINE_END.finditer(original):
            begin, end = match.span()
            if end in wraps:
                while begin > read and original[begin - 1] in " \t":
                    begin -= 1
                end = _INDENT.match(original, end).end()  # type: ignore[union-attr]
                edits.append((begin, end, " "))
            elif match.group() != "\n":
                edits.append((begin, end, "\n"))
            read = match.end()
        edits.extend((m.start(), m.end(), " ") for m in _BLANKS.finditer(original))
        edits.extend((m.start(), m.end(), "") for m in _INVISIBLE.finditer(original))
        # Longest first where two begin together: a wrap swallows its line end and its blanks.
        edits.sort(key=lambda edit: (edit[0], -edit[1]))
        pieces: list[str] = []
        self._clean_at = [0]
        self._original_at = [0]
        # Whether the stretch that begins there stands for something else in the original.
        self._replaced = [False]
        length = 0
        for begin, end, replacement in edits:
            if begin < covered:
                continue
            pieces.append(original[covered:begin])
            length += begin - covered
            if replacement:
                self._clean_at.append(length)
                self._original_at.append(begin)
                self._replaced.append(True)
                pieces.append(replacement)
                length += len(replacement)
            covered = end
            self._clean_at.append(length)
            self._original_at.append(end)
            self._replaced.append(False)
        pieces.append(original[covered:])
        self.clean = "".join(pieces)

    def original_offset(self, offset: int) -> int:
        """Where the character at `offset` of `clean` begins in `original`."""
        slot = bisect_right(self._clean_at, offset) - 1
        if self._replaced[slot]:
            return self._original_at[slot]
        return self._original_at[slot] + offset - self._clean_at[slot]

    def original_span(self, begin: int, end: int) -> tuple[int, int]:
        """The span of `original` that `clean[begin:end]` was read from."""
        start = self.original_offset(begin)
        if end <= begin:
            return start, start
        slot = bisect_right(self._clean_at, end - 1) - 1
        if self._replaced[slot]:  # `caf&eacute;` ends behind the entity.
            return start, self._original_at[slot + 1]
        return start, self._original_at[slot] + end - self._clean_at[slot]
