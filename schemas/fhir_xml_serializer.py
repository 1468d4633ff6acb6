"""A resource as FHIR XML, from the dict that its JSON is.

Nothing is lost: elements in the order of the schema, every digit of a number, extensions and ids
of primitives, contained resources, the narrative as it is.
https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

import html
import re
from typing import Any
from xml.parsers import expat

from schemas.fhir_xml_names import FHIR, XHTML, attributes_of
from schemas.outcomes import FhirError, error
from schemas.parse import canonical_bytes
from schemas.structure import PRIMITIVE_TYPES, TYPES

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
# XML 1.0 has no way to write these, not even escaped.
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPES = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        '"': "&quot;",
        # A reader of an attribute would make spaces of them.
        "\t": "&#9;",
        "\n": "&#10;",
        "\r": "&#13;",
    }
)
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_XML_ENTITIES = frozenset({"amp", "lt", "gt", "quot", "apos"})


def to_xml(resource: dict[str, Any], *, pretty: bool = False) -> bytes:
    """UTF-8 XML of a resource; `pretty` puts each element on a line of its own.

    Raises FhirError `not-acceptable`, naming the element, for what R4's XML cannot say: an element
    that its type does not have, a character that XML does not have, a narrative that is not XHTML.
    """
    writer = _Writer("\n" if pretty else "")
    writer.resource(resource, 0, str(resource.get("resourceType")))
    tail = "\n" if pretty else ""
    return (_DECLARATION + tail + "".join(writer.parts) + tail).encode()


class _Writer:
    """The text so far. `place` is where in the resource we are, for the refusals."""

    def __init__(self, newline: str) -> None:
        self.parts: list[str] = []
        self.newline = newline

    def _line(self, depth: int) -> str:
        return self.newline + "  " * depth if self.newline and self.parts else ""

    def resource(self, resource: dict[str, Any], depth: int, place: str) -> None:
        kind = resource.get("resourceType")
        if not isinstance(kind, str) or kind not in TYPES:
            raise _refusal(place, "is not a resource of FHIR R4")
        namespace = f' xmlns="{FHIR}"' if depth == 0 else ""
        self._open(kind, kind, resource, namespace, depth, place)

    def _open(
        self, tag: str, kind: str, node: dict[str, Any], attributes: str, depth: int, place: str
    ) -> None:
        """An element with what is in `node`, an object of the type `kind`."""
        self.parts.append(f"{self._line(depth)}<{tag}{attributes}")
        mark = len(self.parts)
        self.parts.append(">")
        self._content(kind, node, depth + 1, place)
        if len(self.parts) == mark + 1:
            self.parts[mark] = "/>"
        else:
            self.parts.append(f"{self._line(depth)}</{tag}>")

    def _content(self, kind: str, node: dict[str, Any], depth: int, place: str) -> None:
        attributes = attributes_of(kind)
        names = TYPES[kind].json_names
        seen = 0
        for key, (element, of) in names.items():
            value = node.get(key)
            extra = node.get(f"_{key}")
            if value is None and extra is None:
                continue
            seen += (key in node) + (f"_{key}" in node)
            for given in (value, extra):
                if given is not None and isinstance(given, list) is not element.many:
                    problem = "is not an array" if element.many else "is an array"
                    raise _refusal(f"{place}.{key}", problem)
            if key in attributes:
                if extra is not None:
                    raise _refusal(f"{place}.{key}", "has extensions, and is an attribute in XML")
                continue
            if of in PRIMITIVE_TYPES:
                self._primitives(key, of, value, extra, depth, f"{place}.{key}")
                continue
            for index, item in enumerate(value if isinstance(value, list) else [value]):
                where = f"{place}.{key}[{index}]" if isinstance(value, list) else f"{place}.{key}"
                if not isinstance(item, dict):
                    raise _refusal(where, "is not an object")
                if of == "Resource":
                    self.parts.append(f"{self._line(depth)}<{key}>")
                    self.resource(item, depth + 1, where)
                    self.parts.append(f"{self._line(depth)}</{key}>")
                else:
                    told = self._attributes(of, item, where)
                    self._open(key, of, item, told, depth, where)
        if seen != len(node) - ("resourceType" in node and TYPES[kind].kind == "resource"):
            self._refuse_unknown(kind, node, place)

    def _refuse_unknown(self, kind: str, node: dict[str, Any], place: str) -> None:
        names = TYPES[kind].json_names
        for key, value in node.items():
            if key == "resourceType" and TYPES[kind].kind == "resource":
                continue
            if key.removeprefix("_") not in names or value is None:
                raise _refusal(f"{place}.{key[:64]}", f"is not an element of {kind}")

    def _attributes(self, kind: str, node: dict[str, Any], place: str) -> str:
        told = ""
        for key in sorted(attributes_of(kind)):
            if key in node:
                told += f' {key}="{_escaped(node[key], f"{place}.{key}")}"'
        return told

    def _primitives(
        self, key: str, kind: str, value: Any, extra: Any, depth: int, place: str
    ) -> None:
        if not isinstance(value, list) and not isinstance(extra, list):
            self._primitive(key, kind, value, extra, depth, place)
            return
        values, extras = value or [], extra or []
        for index in range(max(len(values), len(extras))):
            one = values[index] if index < len(values) else None
            more = extras[index] if index < len(extras) else None
            self._primitive(key, kind, one, more, depth, f"{place}[{index}]")

    def _primitive(
        self, key: str, kind: str, value: Any, extra: Any, depth: int, place: str
    ) -> None:
        if kind == "xhtml":
            if extra is not None:
                raise _refusal(place, "has an extension, which a narrative cannot have in XML")
            self.parts.append(self._line(depth) + _narrative(value, place))
            return
        if value is None and not extra:
            raise _refusal(place, "has neither a value nor an extension")
        if extra is not None and not isinstance(extra, dict):
            raise _refusal(place, "has something else than an object for its extensions")
        attributes = self._attributes("Element", extra, place) if extra else ""
        if value is not None:
            attributes += f' value="{_escaped(value, place)}"'
        if extra:
            self._open(key, "Element", extra, attributes, depth, place)
        else:
            self.parts.append(f"{self._line(depth)}<{key}{attributes}/>")


def _escaped(value: Any, place: str) -> str:
    if isinstance(value, str):
        text = value
    elif isinstance(value, (dict, list)):
        raise _refusal(place, "is not one value")
    else:
        text = canonical_bytes(value).decode()
    if _NOT_IN_XML.search(text) is not None:
        raise _refusal(place, "holds a character that XML 1.0 does not have")
    return text.translate(_ESCAPES)


def _narrative(value: Any, place: str) -> str:
    """The `div` as it is, once it is known to be one element of XHTML and nothing else."""
    if not isinstance(value, str):
        raise _refusal(place, "is not text")
    text = _ENTITY.sub(_without_entity, value.strip())
    if not is_one_div(text):
        raise _refusal(place, "is not one <div> of well-formed XHTML")
    return text


def _without_entity(found: re.Match[str]) -> str:
    """HTML's entities, which XML does not know without a DTD, as characters."""
    whole = found[0]
    if found[1] in _XML_ENTITIES:
        return whole
    return html.unescape(whole)


def is_one_div(text: str) -> bool:
    """Is it one well-formed `div` in the XHTML namespace, without a DTD?"""
    root: list[str] = []

    def start(name: str, _attributes: dict[str, str]) -> None:
        if not root:
            root.append(name)

    def no_dtd(*_: Any) -> None:
        raise ValueError

    parser = expat.ParserCreate("utf-8", " ")
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = no_dtd
    try:
        parser.Parse(text.encode(), True)
    except (expat.ExpatError, ValueError):
        return False
    return root == [f"{XHTML} div"]


def _refusal(place: str, problem: str) -> FhirError:
    return error("not-acceptable", f"{place} {problem}, so XML cannot say it; ask for JSON.", place)
