"""FHIR XML to the dict that the same resource is in JSON.

A DTD, and with it every entity, is refused: nothing can expand, and nothing outside is read.
https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from schemas.fhir_xml_names import FHIR, MAX_XML_DEPTH, SCHEMA_INSTANCE, XHTML, attributes_of
from schemas.fhir_xml_serializer import is_one_div
from schemas.outcomes import FhirError, error
from schemas.structure import PRIMITIVE_TYPES, RESOURCE_TYPES, TYPES, suggestion

_ENCODINGS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_INTEGER = re.compile(r"[+-]?[0-9]{1,400}")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_INTEGERS = frozenset({"integer", "positiveInt", "unsignedInt"})
_HIDDEN_ATTRIBUTES = frozenset(
    {f"{SCHEMA_INSTANCE} schemaLocation", f"{SCHEMA_INSTANCE} noNamespaceSchemaLocation"}
)


def from_xml(body: bytes) -> dict[str, Any]:
    """One resource from its XML bytes (UTF-8).

    Raises FhirError: `invalid` for what is not XML as FHIR has it (naming line and column),
    `structure` for elements and attributes that R4 does not have (naming the place). Values are
    not looked at; that is `schemas.validate`, as for JSON.
    """
    if not body.strip():
        raise error("invalid", "The body is empty; XML was expected.")
    return _Reader(body).read()


class _Frame:
    """An element that is open: what its JSON will be, and what may be in it."""

    __slots__ = ("array", "kind", "name", "node", "place", "primitive", "value", "wraps")

    def __init__(self, name: str, kind: str, place: str) -> None:
        self.name = name
        self.kind = kind
        self.place = place
        self.node: dict[str, Any] = {}
        self.array = False
        self.primitive = kind in PRIMITIVE_TYPES
        self.wraps = kind == "Resource"
        self.value: Any = None


class _Reader:
    """One document. `_stack` has the open elements, the resource's own first."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._stack: list[_Frame] = []
        self._depth = 0
        self._result: dict[str, Any] | None = None
        self._div_depth = 0
        self._div_begin = 0
        self._div_events: list[str] = []
        parser = expat.ParserCreate("utf-8", " ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._no_doctype
        parser.XmlDeclHandler = self._declaration
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        self._parser = parser

    def read(self) -> dict[str, Any]:
        try:
            self._parser.Parse(self._body, True)
        except expat.ExpatError as failure:
            raise error(
                "invalid",
                f"The body is not XML: {expat.ErrorString(failure.code)} at line "
                f"{failure.lineno}, column {failure.offset + 1}.",
            ) from None
        if self._result is None:
            raise error("invalid", "The XML holds no resource.")
        return self._result

    def _no_doctype(self, *_: Any) -> None:
        raise error("invalid", "The XML has a DTD (<!DOCTYPE …>), which FHIR does not allow.")

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding and encoding.lower() not in _ENCODINGS:
            raise error("invalid", "FHIR XML is UTF-8; the XML declares another encoding.")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_XML_DEPTH:
            raise error("invalid", f"The XML is nested deeper than {MAX_XML_DEPTH} levels.")
        if self._div_depth:
            self._div_events.append(self._rebuilt_start(name, attributes))
            return
        namespace, _, local = name.rpartition(" ")
        if not self._stack:
            self._root(namespace, local, attributes)
        elif self._stack[-1].wraps:
            self._nested_resource(self._stack[-1], namespace, local, attributes)
        else:
            self._element(self._stack[-1], namespace, local, name, attributes)

    def _root(self, namespace: str, local: str, attributes: dict[str, str]) -> None:
        if namespace != FHIR:
            raise error(
                "structure", f"The root of the XML is not in FHIR's namespace ({FHIR}).", local[:64]
            )
        self._open_resource(local, local, attributes)

    def _nested_resource(
        self, wrapper: _Frame, namespace: str, local: str, attributes: dict[str, str]
    ) -> None:
        if namespace != FHIR:
            raise self._wrong(wrapper.place, "holds something that is not in FHIR's namespace")
        if wrapper.value is not None:
            raise self._wrong(wrapper.place, "holds more than one resource")
        self._open_resource(local, wrapper.place, attributes)

    def _open_resource(self, local: str, place: str, attributes: dict[str, str]) -> None:
        if local not in RESOURCE_TYPES:
            near = suggestion(local, RESOURCE_TYPES)
            text = f"{local[:64]!r} is not a resource type of FHIR R4.{near}"
            raise error("structure", text, place[:64])
        frame = _Frame(local, local, place)
        frame.node["resourceType"] = local
        self._take_attributes(frame, attributes)
        self._stack.append(frame)

    def _element(
        self, above: _Frame, namespace: str, local: str, name: str, attributes: dict[str, str]
    ) -> None:
        kind = "Element" if above.primitive else above.kind
        known = TYPES[kind].json_names.get(local)
        place = f"{above.place}.{local[:64]}"
        if known is None or local in attributes_of(kind):
            near = suggestion(local, TYPES[kind].json_names)
            raise error("structure", f"{place} is not an element of {above.kind}.{near}", place)
        element, of = known
        if of == "xhtml":
            if namespace != XHTML:
                raise self._wrong(place, f"is not in the namespace {XHTML}")
            self._div_depth = self._depth
            self._div_begin = self._parser.CurrentByteIndex
            self._div_events = [self._rebuilt_start(name, attributes, root=True)]
            return
        if namespace != FHIR:
            raise self._wrong(place, "is not in FHIR's namespace")
        frame = _Frame(local, of, place)
        frame.array = element.many
        self._take_attributes(frame, attributes)
        self._stack.append(frame)

    def _take_attributes(self, frame: _Frame, attributes: dict[str, str]) -> None:
        if frame.wraps or TYPES[frame.kind].kind == "resource":
            allowed: frozenset[str] = frozenset()
        elif frame.primitive:
            allowed = frozenset({"id", "value"})
        else:
            allowed = attributes_of(frame.kind)
        for name, text in attributes.items():
            if name == "value" and frame.primitive:
                frame.value = _json_value(frame.kind, text)
            elif name in allowed:
                frame.node[name] = text
            elif name not in _HIDDEN_ATTRIBUTES:
                shown = name.rpartition(" ")[2][:64]
                raise self._wrong(frame.place, f"has an attribute {shown!r}, which it cannot have")

    def _end(self, name: str) -> None:
        depth, self._depth = self._depth, self._depth - 1
        if self._div_depth:
            local = name.rpartition(" ")[2]
            self._div_events.append(f"</{local}>")
            if depth == self._div_depth:
                self._div_depth = 0
                self._close_div()
            return
        frame = self._stack.pop()
        if not self._stack:
            self._result = frame.node
            return
        above = self._stack[-1]
        if above.wraps:
            above.value = frame.node
            return
        if frame.wraps:
            if frame.value is None:
                raise self._wrong(frame.place, "holds no resource")
            self._store(above, frame, frame.value)
        elif frame.primitive:
            self._store_primitive(above, frame)
        else:
            self._store(above, frame, frame.node)

    def _store(self, above: _Frame, frame: _Frame, value: Any) -> None:
        if frame.array:
            above.node.setdefault(frame.name, []).append(value)
        elif frame.name in above.node:
            raise self._wrong(frame.place, "is there twice, and may be there once")
        else:
            above.node[frame.name] = value

    def _store_primitive(self, above: _Frame, frame: _Frame) -> None:
        """The value under its name, id and extensions under `_name`, arrays aligned with null."""
        node, name, extra = above.node, frame.name, frame.node or None
        if frame.value is None and extra is None:
            raise self._wrong(frame.place, "has neither a value nor an extension")
        if not frame.array:
            if name in node or f"_{name}" in node:
                raise self._wrong(frame.place, "is there twice, and may be there once")
            if frame.value is not None:
                node[name] = frame.value
            if extra is not None:
                node[f"_{name}"] = extra
            return
        values, extras = node.get(name), node.get(f"_{name}")
        count = len(values or extras or ())
        if frame.value is not None and values is None:
            values = node[name] = [None] * count
        if extra is not None and extras is None:
            extras = node[f"_{name}"] = [None] * count
        if values is not None:
            values.append(frame.value)
        if extras is not None:
            extras.append(extra)

    def _text(self, text: str) -> None:
        if self._div_depth:
            self._div_events.append(escape(text))
        elif text.strip():
            place = self._stack[-1].place if self._stack else "The XML"
            raise self._wrong(place, "holds text; FHIR has values in the attribute `value`")

    def _close_div(self) -> None:
        above = self._stack[-1]
        if "div" in above.node:
            raise self._wrong(f"{above.place}.div", "is there twice, and may be there once")
        end = self._end_of_tag(self._div_begin)
        if self._body[end - 2] != ord("/"):  # Not `<div/>`, where expat tells no place of its end.
            end = self._end_of_tag(self._parser.CurrentByteIndex)
        text = self._body[self._div_begin : end].decode("utf-8")
        # As it was sent; written anew only where it leans on what is declared around it.
        above.node["div"] = text if is_one_div(text) else "".join(self._div_events)
        self._div_events = []

    def _end_of_tag(self, begin: int) -> int:
        """Where a tag ends: `>` may be part of a value in it."""
        quote = 0
        for index in range(begin, len(self._body)):
            byte = self._body[index]
            if quote:
                quote = 0 if byte == quote else quote
            elif byte in b"\"'":
                quote = byte
            elif byte == ord(">"):
                return index + 1
        return len(self._body)

    def _rebuilt_start(self, name: str, attributes: dict[str, str], *, root: bool = False) -> str:
        namespace, _, local = name.rpartition(" ")
        if namespace != XHTML:
            raise self._wrong(f"{self._stack[-1].place}.div", "holds elements that are not XHTML")
        told = f' xmlns="{XHTML}"' if root else ""
        for key, value in attributes.items():
            prefix, _, short = key.rpartition(" ")
            if prefix and prefix != "http://www.w3.org/XML/1998/namespace":
                raise self._wrong(f"{self._stack[-1].place}.div", "has attributes of other formats")
            told += f" {'xml:' if prefix else ''}{short}={quoteattr(value)}"
        return f"<{local}{told}>"

    def _wrong(self, place: str, problem: str) -> FhirError:
        line = self._parser.CurrentLineNumber
        return error("structure", f"{place} {problem} (line {line}).", place)


def _json_value(kind: str, text: str) -> Any:
    """The JSON value of a primitive. What is none of its type stays text, for the validator."""
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    if kind in _INTEGERS and _INTEGER.fullmatch(text):
        return int(text)
    if kind == "decimal" and _DECIMAL.fullmatch(text):
        return int(text) if _INTEGER.fullmatch(text) else Decimal(text)
    return text
