"""From the text of an expression to its tokens. http://hl7.org/fhirpath/N1/#lexical-elements"""

from __future__ import annotations

import re
from dataclasses import dataclass

from schemas.fhirpath.errors import FhirPathError

MAX_EXPRESSION_CHARACTERS = 32_768

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\r\n]*|/\*.*?\*/)
    |(?P<open>/\*)
    |(?P<datetime>@[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2})?)?
        (?:T(?:[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?)?)
    |(?P<time>@T[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?)
    |(?P<number>[0-9]+(?:\.[0-9]+)?)
    |(?P<string>'(?:[^'\\]|\\.)*')
    |(?P<quoted>`(?:[^`\\]|\\.)*`)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<special>\$(?:this|index|total)\b)
    |(?P<variable>%(?:[A-Za-z_][A-Za-z0-9_-]*|`(?:[^`\\]|\\.)*`|'(?:[^'\\]|\\.)*'))
    |(?P<operator><=|>=|!=|!~|[.\[\](){},|&=~<>+*/-])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPED = {
    "n": "\n", "r": "\r", "t": "\t", "f": "\f",
    "'": "'", '"': '"', "`": "`", "\\": "\\", "/": "/",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is a group of the token pattern, or `end`; `text` as meant (quotes and escapes
    resolved), `at` its offset in the expression."""

    kind: str
    text: str
    at: int


def tokens(text: str) -> list[Token]:
    """The tokens, without white space and comments, and an `end` token. Raises FhirPathError."""
    if len(text) > MAX_EXPRESSION_CHARACTERS:
        raise FhirPathError(
            f"The FHIRPath expression is longer than {MAX_EXPRESSION_CHARACTERS:,} characters.",
            "limit",
        )
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise FhirPathError(
                f"Nothing that FHIRPath knows begins at character {at} ({text[at]!r}).", "syntax"
            )
        kind, token = str(match.lastgroup), match[0]
        if kind == "open":
            raise FhirPathError(f"The comment at character {at} has no end.", "syntax")
        if kind in ("string", "quoted"):
            found.append(Token("name" if kind == "quoted" else kind, _text(token, at), at))
        elif kind == "variable":
            name = _text(token[1:], at) if token[1] in "`'" else token[1:]
            found.append(Token(kind, name, at))
        elif kind == "special":
            found.append(Token(kind, token[1:], at))
        elif kind != "space":
            found.append(Token("word" if kind == "name" else kind, token, at))
        at = match.end()
    found.append(Token("end", "", at))
    return found


def _text(quoted: str, at: int) -> str:
    inner = quoted[1:-1]
    if "\\" not in inner:
        return inner

    def meant(match: re.Match[str]) -> str:
        what = match[1]
        if len(what) == 5:
            return chr(int(what[1:], 16))
        if what not in _ESCAPED:
            raise FhirPathError(f"\\{what} at character {at} is no escape of FHIRPath.", "syntax")
        return _ESCAPED[what]

    resolved = _ESCAPE.sub(meant, inner)
    try:  # A pair of surrogates is one character.
        return resolved.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise FhirPathError(
            f"The text at character {at} has half of a surrogate pair.", "syntax"
        ) from None
