"""What is left of RTF, HTML and HL7 in a text: the edits that `layout` makes of it.

A block's tag or `\\par` ends a line, other tags and control words are nothing, entities and escaped
characters are their character. A `<` of the text (`HR <60`) stays: only names of HTML are tags.
Everything is found in time linear in the text.
"""

import re
from collections.abc import Iterator
from html import unescape

Edit = tuple[int, int, str]

_BLOCKS = frozenset(
    re.findall(
        r"\S+",
        "address article blockquote body br center dd div dl dt fieldset footer form h1 h2 h3 h4 "
        "h5 h6 head header hr html li main nav ol "
        "p pre section table tbody tfoot thead title tr ul ",
    )
)
_INLINE = frozenset(
    re.findall(
        r"\S+",
        "a abbr b big cite code del em font i img input ins kbd label link mark meta o:p s small "
        "span strike strong sub sup tt u var col colgroup caption style script ",
    )
)
_CELLS = frozenset(("td", "th"))
_TAG = re.compile(
    r"</?([A-Za-z][A-Za-z0-9:]{0,11})(?:[\s/][^<>]{0,1000})?>|<![A-Za-z][^<>]{0,300}>"
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# Text between these is not the note's.
_HIDDEN = (("<!--", "-->"), ("<style", "</style>"), ("<script", "</script>"))
_HL7 = re.compile(r"\\(?:\.(?:br|sp\d*|ce)|[FSTREHN])\\")
_HL7_TEXT = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\", "H": "", "N": ""}

_RTF_START = re.compile(r"\{\\rtf\d?")
_RTF_WORD = re.compile(
    r"\\(?:pard?|plain|line|tab|q[clrj]|fs\d+|f\d+|b0?|i0?|ul(?:none)?|cf\d+|lang\d+|li\d+)(?![a-z])"
)
_MIN_RTF_WORDS = 3
_RTF_TOKEN = re.compile(
    r"\\'(?P<hex>[0-9a-fA-F]{2})|\\u(?P<code>-?\d{1,6})[ ]?(?:\\'[0-9a-fA-F]{2}|\?)?"
    r"|\\(?P<word>[a-zA-Z]{1,32})(?:-?\d{1,10})?[ ]?|\\(?P<symbol>[^a-zA-Z])|(?P<brace>[{}])"
    r"|(?P<end>[\r\n]+)"
)
_RTF_BREAKS = frozenset(("par", "line", "row", "sect", "page"))
_RTF_CHARACTERS = {
    "tab": " ", "cell": " ", "emdash": "—", "endash": "–", "bullet": "•", "lquote": "‘",
    "rquote": "’", "ldblquote": "“", "rdblquote": "”", "emspace": " ", "enspace": " ",
}  # fmt: skip
_RTF_DESTINATIONS = frozenset(
    re.findall(
        r"\S+",
        "fonttbl colortbl stylesheet info pict object header footer generator listtable "
        "listoverridetable themedata datastore rsidtbl xmlnstbl footnote fldinst ",
    )
)


def markup_edits(text: str) -> list[Edit]:
    """`(begin, end, replacement)` of each piece of markup; [] for a text without any, as a rule."""
    edits: list[Edit] = []
    if "\\" in text:
        if _is_rtf(text):
            edits.extend(_rtf(text))
        else:
            edits.extend(_hl7(text))
    if "<" in text:
        edits.extend(_html(text))
    if "&" in text:
        edits.extend(_entities(text))
    return edits


def _is_rtf(text: str) -> bool:
    if _RTF_START.search(text) is not None:
        return True
    words = _RTF_WORD.finditer(text)
    return sum(1 for _, _ in zip(range(_MIN_RTF_WORDS), words, strict=False)) == _MIN_RTF_WORDS


def _rtf(text: str) -> Iterator[Edit]:
    """RTF 1.9.1: control words, groups, escaped characters; its line ends are not the text's."""
    groups: list[int | None] = []  # Where the destination began that a group is inside of.
    whole = _RTF_START.search(text) is not None
    for token in _RTF_TOKEN.finditer(text):
        begin, end = token.span()
        hidden = groups[-1] if groups else None
        if token["brace"] == "{":
            groups.append(hidden)
        elif token["brace"] == "}":
            closed = groups.pop() if groups else None
            if closed is not None and (not groups or groups[-1] is None):
                yield closed, end, ""
                continue
        elif (
            groups
            and hidden is None
            and (token["word"] in _RTF_DESTINATIONS or token["symbol"] == "*")
        ):
            groups[-1] = begin
        if hidden is not None:
            continue
        if token["hex"] is not None:
            yield begin, end, bytes.fromhex(token["hex"]).decode("cp1252", "replace")
        elif token["code"] is not None:
            yield begin, end, chr(int(token["code"]) % 65536)
        elif token["word"] is not None:
            word = token["word"]
            yield begin, end, "\n" if word in _RTF_BREAKS else _RTF_CHARACTERS.get(word, "")
        elif token["symbol"] is not None:
            symbol = token["symbol"]
            breaks = symbol in "\r\n"
            yield begin, end, "\n" if breaks else {"~": " ", "*": "", "-": ""}.get(symbol, symbol)
        elif token["brace"] is not None or whole:
            yield begin, end, ""


def _hl7(text: str) -> Iterator[Edit]:
    """HL7 v2 escape sequences (chapter 2.7): `\\.br\\` ends a line."""
    for match in _HL7.finditer(text):
        inner = match.group()[1:-1]
        yield match.start(), match.end(), "\n" if inner[0] == "." else _HL7_TEXT[inner]


def _hidden(text: str) -> Iterator[Edit]:
    lower = text.lower()
    for opening, closing in _HIDDEN:
        begin = lower.find(opening)
        while begin >= 0:
            close = lower.find(closing, begin)
            if close < 0:
                break
            yield begin, close + len(closing), ""
            begin = lower.find(opening, close)


def _html(text: str) -> Iterator[Edit]:
    yield from _hidden(text)
    blocks = 0
    for match in _TAG.finditer(text):
        name = (match[1] or "").lower()
        if name in _BLOCKS:
            blocks += 1
            yield match.start(), match.end(), "\n"
        elif name in _CELLS:
            yield match.start(), match.end(), "" if match.group()[1] == "/" else " "
        elif name in _INLINE or not name:
            yield match.start(), match.end(), ""
    if blocks >= 2 and 2 * blocks >= text.count("\n"):
        # Where tags end the lines, the line ends of the source are blanks.
        yield from ((m.start(), m.end(), " ") for m in re.finditer(r"[\r\n]+", text))


def _entities(text: str) -> Iterator[Edit]:
    for match in _ENTITY.finditer(text):
        character = unescape(match.group()).replace("\xa0", " ")
        if character != match.group():
            yield match.start(), match.end(), character
