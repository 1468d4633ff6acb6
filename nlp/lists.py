"""What a list's header says of its items, and what a form's boxes say of their options.

`Denies:` above a list denies every item of it; `Return for:` makes them hypothetical. A box that
is not ticked says nothing of the patient: its option is hypothetical, neither present nor absent.
"""

import re
from bisect import bisect_right

from nlp.mention import HYPOTHETICAL, NEGATED, UNCERTAIN

Scope = tuple[int, int, str]

_HEADERS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rf"(?:^|[\s.:;*_(-])(?:{words}){rest}[ ]?[:\-–]*[*_ ]*$", re.IGNORECASE), trait)
    for words, rest, trait in (
        (
            r"(?<!not )den(?:ies|ied|y|ying)|neg(?:ative)?(?: ros)?(?: for)?|no history of"
            r"|no evidence of|no signs? of|no signs or symptoms of|without|absent|absence of"
            r"|does not (?:have|report|endorse)|did not (?:have|report|endorse)"
            r"|pertinent negatives?|ruled out(?: for)?|not present|no|none of",
            r"(?:,? ?(?:any|all)?(?: of)?(?: the)?(?: following)?(?: symptoms| findings)?)?",
            NEGATED,
        ),
        (
            r"rule out|r/o|evaluate for|concern(?:s|ing)? for|possible|differential(?: diagnosis)?"
            r"|ddx(?: includes)?|considerations?(?: include)?",
            r"(?:,? ?(?:any|all)?(?: of)?(?: the)?(?: following)?)?",
            UNCERTAIN,
        ),
        (
            r"(?:return|call|seek|come back|go to|notify|contact)\b[^.\n]{0,80}?"
            r"\b(?:if|for|with|any)"
            r"|(?:watch|monitor|screen(?:ing)?|educat\w+|counsel\w*) (?:for|on|about)"
            r"|(?:at )?risks?(?: of| for| include\w*)|side effects(?: of| include\w*)?"
            r"|(?:possible )?complications include|return precautions",
            r"(?:[^.:\n]{0,60})?",
            HYPOTHETICAL,
        ),
    )
)
_BULLET = re.compile(r"[ ]*(?:[-–—*•·o▪●>+]+[ ]*|\(?\d{1,2}[.)][ ]*)(?=[^\s\d])")
_MAX_PLAIN_ITEM = 45
_HEADER_LIKE = re.compile(r"[ ]*[^:\n]{1,60}:(?:[ ]|$)")
_SENTENCE = re.compile(
    r"[.!?;][ ]+[A-Z]|\b(?i:is|was|has|had|reports|endorses|presents)\b|(?:\w+[ ]){3,}\w+\.$"
)
_EMPTY = r"\[[ _]?\]|\([ _]?\)(?=[ ]?[A-Za-z])|[☐□❏❑◻]|\b_{2,3}(?= [A-Za-z])"
_TICKED = r"\[[ ]?[xX✓✔*][ ]?\]|\([xX✓✔]\)|[☑☒✓✔■]"
_BOX = re.compile(rf"(?P<empty>{_EMPTY})|(?P<ticked>{_TICKED})")
_SIGN = re.compile(r"(?:^|(?<=[,;:(\s]))(?P<sign>[+\-–−])(?P<blank>[ ]?)(?=[A-Za-z])")
# `(-) fever`, `cough [+]`: before or behind its finding, as on the first of the line.
_BRACKETED = re.compile(r"[(\[][ ]?(?P<sign>[+\-–−])[ ]?[)\]]")
_ITEM_START = re.compile(r"[,;:.|\n]|\b(?:and|or|but)\b")
_ITEM_END = re.compile(r"[,;.]|\bbut\b")
_MIN_SIGNS = 2
_YES_NO = re.compile(r"[ ]*(?P<answer>yes|no|y|n|negative|positive|none)\b", re.IGNORECASE)
_NO = frozenset(("no", "n", "negative", "none"))


def _header_trait(line: str) -> str | None:
    for pattern, trait in _HEADERS:
        if pattern.search(line):
            return trait
    return None


def _lines(text: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    begin = 0
    for line in text.split("\n"):
        found.append((begin, line))
        begin += len(line) + 1
    return found


def _list_scopes(lines: list[tuple[int, str]]) -> list[Scope]:
    scopes: list[Scope] = []
    trait: str | None = None
    bulleted: bool | None = None
    for slot, (begin, line) in enumerate(lines):
        text = line.rstrip()
        ends_with_colon = text.rstrip("*_ ").endswith((":", "-", "–"))
        next_line = lines[slot + 1][1] if slot + 1 < len(lines) else ""
        opens = ends_with_colon or (_BULLET.match(next_line) and not _BULLET.match(line))
        found = _header_trait(text) if text and opens else None
        if found is not None or ends_with_colon or not text:
            # A blank line between a header and its list is layout, after an item it is the end.
            if text or bulleted is not None:
                trait, bulleted = found, None
            continue
        if trait is None:
            continue
        item = _BULLET.match(line) is not None
        if bulleted is None:
            bulleted = item
        plain = len(text) <= _MAX_PLAIN_ITEM and not _SENTENCE.search(text)
        if (bulleted and not item) or (not bulleted and not plain) or _HEADER_LIKE.match(line):
            trait, bulleted = None, None
            continue
        scopes.append((begin, begin + len(line), trait))
    return scopes


def _box_scopes(begin: int, line: str) -> list[Scope]:
    boxes = list(_BOX.finditer(line))
    if not boxes:
        return []
    answers = [_YES_NO.match(line, box.end()) for box in boxes]
    if all(answers):
        return _answered(begin, line, boxes, [a["answer"].lower() for a in answers if a])
    scopes: list[Scope] = []
    # `Fever ☐`: nothing stands behind the last box, so each belongs to the words before it.
    follows = not line[boxes[-1].end() :].strip(" |.,;")
    for slot, box in enumerate(boxes):
        if not box["empty"]:
            continue
        if follows:
            start = boxes[slot - 1].end() if slot else 0
            scopes.append((begin + start, begin + box.start(), HYPOTHETICAL))
        else:
            end = boxes[slot + 1].start() if slot + 1 < len(boxes) else len(line)
            scopes.append((begin + box.end(), begin + end, HYPOTHETICAL))
    return scopes


def _answered(begin: int, line: str, boxes: list[re.Match[str]], answers: list[str]) -> list[Scope]:
    """`Chest pain: [ ] yes [x] no`: what the ticked answer says of the words before its boxes."""
    scopes: list[Scope] = []
    start = 0
    slot = 0
    while slot < len(boxes):
        last = slot
        # The boxes of one question are separated by nothing but their answers.
        while last + 1 < len(boxes) and (
            boxes[last + 1].start() - boxes[last].end() <= len(answers[last]) + 4
        ):
            last += 1
        ticked = [answers[i] for i in range(slot, last + 1) if boxes[i]["ticked"]]
        if len(ticked) != 1:
            scopes.append((begin + start, begin + boxes[slot].start(), HYPOTHETICAL))
        elif ticked[0] in _NO:
            scopes.append((begin + start, begin + boxes[slot].start(), NEGATED))
        start = boxes[last].end()
        slot = last + 1
    return scopes


def _sign_scopes(begin: int, line: str) -> list[Scope]:
    """`+cough, -fever, - chills`: signs before findings, where the line has more than one.

    A dash with a blank behind it is a sign only beside a plus: else it is a bullet or punctuation.
    """
    found = list(_SIGN.finditer(line))
    plus = any(sign["sign"] == "+" for sign in found)
    signs = [
        sign
        for sign in found
        if not sign["blank"]
        or sign["sign"] == "+"
        or (
            plus
            and line[max(0, sign.start() - 2) : sign.start()].rstrip()[-1:]
            in ("", ",", ";", ":", "(")
        )
    ]
    if len(signs) < _MIN_SIGNS:
        return []
    scopes: list[Scope] = []
    for slot, sign in enumerate(signs):
        if sign["sign"] == "+":
            continue
        after = sign.end()
        end = signs[slot + 1].start() if slot + 1 < len(signs) else len(line)
        end = min(end, after + _MAX_PLAIN_ITEM)
        stop = _ITEM_END.search(line, after, end)
        scopes.append((begin + after, begin + (stop.start() if stop else end), NEGATED))
    return scopes


def _bracketed_scopes(begin: int, line: str) -> list[Scope]:
    """`(-) fever (+) cough`, `fever (-), cough (+)`: what a sign in brackets says."""
    signs = list(_BRACKETED.finditer(line))
    if not signs:
        return []
    label = line[: signs[0].start()].rstrip()
    leads = not label or label.endswith((":", ",", ";", ".", "-", "|"))
    scopes: list[Scope] = []
    for slot, sign in enumerate(signs):
        if sign["sign"] == "+":
            continue
        if leads:
            end = signs[slot + 1].start() if slot + 1 < len(signs) else len(line)
            stop = _ITEM_END.search(line, sign.end(), end)
            scopes.append((begin + sign.end(), begin + (stop.start() if stop else end), NEGATED))
            continue
        start = signs[slot - 1].end() if slot else 0
        parts = list(_ITEM_START.finditer(line, start, sign.start()))
        scopes.append(
            (begin + (parts[-1].end() if parts else start), begin + sign.start(), NEGATED)
        )
    return scopes


class ListScopes:
    """The scopes of one text, for look-up by offset."""

    __slots__ = ("_begins", "_scopes")

    def __init__(self, text: str) -> None:
        lines = _lines(text)
        found = _list_scopes(lines)
        has_boxes = _BOX.search(text) is not None
        for begin, line in lines:
            if has_boxes:
                found.extend(_box_scopes(begin, line))
            if _BRACKETED.search(line):
                found.extend(_bracketed_scopes(begin, line))
            elif _SIGN.search(line):
                found.extend(_sign_scopes(begin, line))
        self._scopes = sorted(found)
        self._begins = [scope[0] for scope in self._scopes]

    def trait_at(self, offset: int) -> str | None:
        """The trait that the list or form around `offset` gives, None when it gives none."""
        slot = bisect_right(self._begins, offset)
        # Boxes inside a list item: the nearer, narrower scope begins later.
        for begin, end, trait in reversed(self._scopes[max(0, slot - 2) : slot]):
            if begin <= offset < end:
                return trait
        return None
