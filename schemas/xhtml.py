"""What a narrative may hold: basic formatting of XHTML, and something to read.

https://hl7.org/fhir/R4/narrative.html#xhtml (txt-1, txt-2)
"""

from __future__ import annotations

import re
from functools import lru_cache
from html.entities import html5
from xml.parsers.expat import ExpatError, ParserCreate

XHTML = "http://www.w3.org/1999/xhtml"

_ELEMENTS = frozenset(
    """
    a abbr acronym address area b bdo big blockquote br caption center cite code col
    colgroup dd del dfn div dl dt em font h1 h2 h3 h4 h5 h6 hr i img ins kbd li map ol p pre
    q s samp small span strike strong sub sup table tbody td tfoot th thead tr tt u ul var
    """.split()  # noqa: SIM905
)
_ATTRIBUTES = frozenset(
    """
    abbr accesskey align alt axis bgcolor border cellpadding cellspacing char charoff
    charset cite class clear color colspan compact coords datetime dir face frame headers
    height href hreflang hspace id ismap lang longdesc name nohref noshade nowrap rel rev
    rowspan rules scope shape size span src start style summary tabindex target title type
    usemap valign value vspace width
    """.split()  # noqa: SIM905
)
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_XML_ENTITIES = frozenset({"amp", "lt", "gt", "quot", "apos"})
_XML = "http://www.w3.org/XML/1998/namespace"


class _RefusedError(Exception):
    """Says what is wrong, in words that repeat names of elements at most."""


def formatting_problem(div: str) -> str | None:
    """What txt-1 forbids in a narrative's div: no XML, or elements and attributes beyond basic
    formatting. None when all is well."""
    return _read(div)[0]


def has_content(div: str) -> bool:
    """txt-2: text that is no white space, or an image."""
    return _read(div)[1]


@lru_cache(maxsize=2)  # Both rules are asked about one narrative after the other.
def _read(div: str) -> tuple[str | None, bool]:
    parser = ParserCreate(namespace_separator=" ")
    # expat rewinds nothing: a document type could define entities that grow without end.
    content = False

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal content
        space, _, local = name.rpartition(" ")
        if space != XHTML:
            raise _RefusedError(f"has the element {local[:40]} outside the XHTML namespace")
        if local not in _ELEMENTS:
            raise _RefusedError(f"has the element {local[:40]}, which a narrative may not")
        content = content or local == "img"
        for attribute in attributes:
            space, _, plain = attribute.rpartition(" ")
            if plain not in _ATTRIBUTES or space not in ("", _XML):
                raise _RefusedError(f"has the attribute {plain[:40]}, which a narrative may not")

    def text(data: str) -> None:
        nonlocal content
        content = content or not data.isspace()

    def refuse(*_: object) -> None:
        raise _RefusedError("has a document type or processing instruction")

    parser.StartElementHandler = begin
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    parser.ProcessingInstructionHandler = refuse
    try:
        parser.Parse(_ENTITY.sub(_character, div), True)
    except _RefusedError as refused:
        return str(refused), content
    except (ExpatError, ValueError):
        return "is no well-formed XML", content
    return None, content


def _character(match: re.Match[str]) -> str:
    name = match[1]
    if name in _XML_ENTITIES:
        return match[0]
    found = html5.get(name + ";")
    if found is None:
        raise _RefusedError("has a character entity that XHTML does not know")
    return found
