"""From a value of a FHIR type to index values, one function for each (parameter kind, type).

The table of R4: https://hl7.org/fhir/R4/search.html#token and the sections beside it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from schemas import ucum
from schemas.codes import UCUM
from schemas.composite_values import UCUM_SUFFIX, Part, composite_of
from schemas.dates import date_range, period_range, timing_range
from schemas.element_path import Branch, Key
from schemas.folding import normalized
from schemas.ids import parse_reference
from schemas.index_values import (
    DateValue,
    IndexValue,
    NumberValue,
    PositionValue,
    QuantityValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    UriValue,
)
from schemas.search_params import SearchParam, component_branches
from schemas.spoken_words import sounds, words_of_resource, words_of_xhtml
from schemas.structure import RESOURCE_TYPES, TYPES
from schemas.value_sets import system_of

Out = list[IndexValue]
Converter = Callable[[str, Any, Out], None]

CURRENCIES = "urn:iso:std:iso:4217"
_SAMPLE = re.compile(r"[+-]?[0-9]{1,60}(\.[0-9]+)?")
_ADDRESS_PARTS = ("line", "city", "district", "state", "postalCode", "country", "text")
_SPOKEN_PARTS = ("family", "given", "text")
_NAME_PARTS = ("family", "given", "prefix", "suffix", "text")


def text_of(value: Any) -> str | None:
    """The value when it is a text that is not empty."""
    return value if type(value) is str and value else None


def of_coding(param: str, value: Any, out: Out) -> None:
    """A code with its system, and its display."""
    if type(value) is dict:
        system, code = text_of(value.get("system")), text_of(value.get("code"))
        text = text_of(value.get("display"))
        if system or code or text:
            out.append(TokenValue(param, system, code, text))


def of_concept(param: str, value: Any, out: Out) -> None:
    """Each coding; the text where no coding has it as its display."""
    if type(value) is not dict:
        return
    found = value.get("coding")
    words = text_of(value.get("text"))
    if type(found) is list:
        for coding in found:
            if type(coding) is dict:
                display = text_of(coding.get("display"))
                system, code = text_of(coding.get("system")), text_of(coding.get("code"))
                if system or code or display:
                    out.append(TokenValue(param, system, code, display))
                    if display == words:
                        words = None
    if words:
        out.append(TokenValue(param, None, None, words))


OF_TYPE = ":of-type"
"""After a token parameter: its identifiers, each with the codes of its type."""

TYPE_SEPARATOR = "\x1f"
"""Between the code of an identifier's type and its value."""


def of_identifier(param: str, value: Any, out: Out) -> None:
    """The value with its system, and the text of its type; both by the codings of the type."""
    if type(value) is not dict:
        return
    identifier_token(param, value, out)
    kind, own = value.get("type"), text_of(value.get("value"))
    codings = kind.get("coding") if type(kind) is dict else None
    if own and type(codings) is list:
        for coding in codings:
            code = text_of(coding.get("code")) if type(coding) is dict else None
            if code:
                system = text_of(coding.get("system"))
                typed = f"{code}{TYPE_SEPARATOR}{own}"
                out.append(TokenValue(param + OF_TYPE, system, typed, None))


def identifier_token(param: str, value: Any, out: Out) -> None:
    """The value of an identifier with its system, and the text of its type."""
    if type(value) is dict:
        system, code = text_of(value.get("system")), text_of(value.get("value"))
        kind = value.get("type")
        if system or code:
            text = text_of(kind.get("text")) if type(kind) is dict else None
            out.append(TokenValue(param, system, code, text))


def _contact(param: str, value: Any, out: Out) -> None:
    code = text_of(value.get("value")) if type(value) is dict else None
    if code:
        out.append(TokenValue(param, None, code, None))


def of_code(param: str, value: Any, out: Out) -> None:
    """A boolean, or a code without a system."""
    if type(value) is bool:
        out.append(TokenValue(param, None, "true" if value else "false", None))
    elif type(value) is str and value:
        out.append(TokenValue(param, None, value, None))


@dataclass(frozen=True)
class BoundCode:
    """Codes of an element whose value set says the system that they do not carry themselves."""

    binding: str

    def __call__(self, param: str, value: Any, out: Out) -> None:
        if type(value) is str and value:
            out.append(TokenValue(param, system_of(self.binding, value), value, None))


def of_date(param: str, value: Any, out: Out) -> None:
    """The interval of a date of any precision."""
    if type(value) is str:
        try:
            low, high = date_range(value)
        except ValueError:
            return
        out.append(DateValue(param, low, high))


def _period(param: str, value: Any, out: Out) -> None:
    found = period_range(value)
    if found is not None:
        out.append(DateValue(param, found[0], found[1]))


def _timing(param: str, value: Any, out: Out) -> None:
    found = timing_range(value)
    if found is not None:
        out.append(DateValue(param, found[0], found[1]))


def of_string(param: str, value: Any, out: Out) -> None:
    """A text, as written and normalized."""
    if type(value) is str and value:
        out.append(StringValue(param, value, normalized(value)))


def _parts(names: tuple[str, ...]) -> Converter:
    def convert(param: str, value: Any, out: Out) -> None:
        if type(value) is not dict:
            return
        for name in names:
            part = value.get(name)
            if type(part) is str:
                of_string(param, part, out)
            elif type(part) is list:
                for one in part:
                    of_string(param, one, out)

    return convert


def of_reference(param: str, value: Any, out: Out) -> None:
    """What its text says, and its identifier as a token of `param:identifier`."""
    if type(value) is not dict:
        return
    _reference_text(param, value.get("reference"), out)
    identifier = value.get("identifier")
    if identifier is not None:
        identifier_token(f"{param}:identifier", identifier, out)


def _reference_text(param: str, text: Any, out: Out) -> None:
    if type(text) is not str or not text:
        return
    parsed = parse_reference(text)
    if parsed.kind == "relative":
        out.append(ReferenceValue(param, parsed.resource_type, parsed.id, None))
    elif parsed.kind in ("absolute", "urn"):
        out.append(ReferenceValue(param, parsed.resource_type, parsed.id, text))
    elif parsed.kind == "contained":
        # Nobody can ask for it from outside; but a value is there, for `:missing`.
        out.append(ReferenceValue(param, None, text, None))


def _canonical(param: str, value: Any, out: Out) -> None:
    """A canonical is found with and without its version."""
    if type(value) is str and value:
        url, _, version = value.partition("|")
        _reference_text(param, url, out)
        if version:
            out.append(ReferenceValue(param, None, None, value))


def _inline_resource(param: str, value: Any, out: Out) -> None:
    if type(value) is dict:
        kind, own = text_of(value.get("resourceType")), text_of(value.get("id"))
        if kind and own:
            out.append(ReferenceValue(param, kind, own, None))


def _uri(param: str, value: Any, out: Out) -> None:
    if type(value) is str and value:
        out.append(UriValue(param, value))


def number_of(value: Any) -> float | None:
    """A JSON number as a float, infinite where it is too large for one."""
    if type(value) is Decimal or type(value) is int:
        try:
            return float(value)
        except OverflowError:
            return math.copysign(math.inf, value)
    return None


def _number(param: str, value: Any, out: Out) -> None:
    number = number_of(value)
    if number is not None:
        out.append(NumberValue(param, number, number))


def _number_range(param: str, value: Any, out: Out) -> None:
    if type(value) is dict:
        ends = _range_ends(value)
        if ends is not None:
            out.append(NumberValue(param, ends[0], ends[1]))


def of_quantity(param: str, value: Any, out: Out) -> None:
    """The number, open to one side by its comparator, and its unit."""
    if type(value) is dict:
        amount = value.get("value")
        if number_of(amount) is not None:
            comparator = value.get("comparator")
            low = None if comparator in ("<", "<=") else amount
            high = None if comparator in (">", ">=") else amount
            _add_quantity(param, low, high, value, out)


def _add_quantity(param: str, low: Any, high: Any, unit: dict[str, Any], out: Out) -> None:
    """An interval (JSON numbers, None: open) of an amount, as written and in units of UCUM."""
    least, most = _end(low, -math.inf), _end(high, math.inf)
    system, code, name = _unit(unit)
    out.append(QuantityValue(param, least, most, system, code, name))
    found = in_base_units(low, high, system, code)
    if found is not None:
        out.append(QuantityValue(param + UCUM_SUFFIX, found[0], found[1], None, found[2], None))


def _end(value: Any, when_open: float) -> float:
    number = number_of(value)
    return when_open if number is None else number


def in_base_units(
    low: Any, high: Any, system: str | None, code: str | None
) -> tuple[float, float, str] | None:
    """An interval (JSON numbers, None: open) in base units; None for what is no unit of UCUM."""
    if system != UCUM or code is None:
        return None
    least = _base(low, code)
    most = least if high is low else _base(high, code)
    unit = most if least is None else least
    if unit is None or (least is None and low is not None) or (most is None and high is not None):
        return None
    return (
        -math.inf if least is None else least[0],
        math.inf if most is None else most[0],
        unit[1],
    )


def _base(value: Any, code: str) -> tuple[float, str] | None:
    return _in_base(value, code) if type(value) in (Decimal, int) else None


@lru_cache(maxsize=65_536)
def _in_base(value: Decimal | int, code: str) -> tuple[float, str] | None:
    found = ucum.canonical(Decimal(value), code)
    return None if found is None else (float(found[0]), found[1])


def _unit(quantity: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
    return (
        text_of(quantity.get("system")),
        text_of(quantity.get("code")),
        text_of(quantity.get("unit")),
    )


def _range_ends(value: dict[str, Any]) -> tuple[float, float] | None:
    low, high = value.get("low"), value.get("high")
    least = number_of(low.get("value")) if type(low) is dict else None
    most = number_of(high.get("value")) if type(high) is dict else None
    if least is None and most is None:
        return None
    return (-math.inf if least is None else least), (math.inf if most is None else most)


def _quantity_range(param: str, value: Any, out: Out) -> None:
    if type(value) is dict and _range_ends(value) is not None:
        low, high = (end if type(end) is dict else {} for end in map(value.get, ("low", "high")))
        _add_quantity(param, low.get("value"), high.get("value"), low or high, out)


def _money(param: str, value: Any, out: Out) -> None:
    number = number_of(value.get("value")) if type(value) is dict else None
    if number is not None:
        code = text_of(value.get("currency"))
        system = CURRENCIES if code else None
        out.append(QuantityValue(param, number, number, system, code, code))


def _sampled(param: str, value: Any, out: Out) -> None:
    """Samples are the interval that they span: `data` × `factor` + `origin`."""
    if type(value) is not dict or type(value.get("origin")) is not dict:
        return
    origin, factor = number_of(value["origin"].get("value")), number_of(value.get("factor", 1))
    words = value.get("data")
    samples = []
    for word in words.split() if type(words) is str else []:
        if _SAMPLE.fullmatch(word):  # Not E, U or L: an error, above or below what is measured.
            samples.append(float(word))
    if origin is not None and factor is not None and samples and math.isfinite(origin * factor):
        ends = sorted((min(samples) * factor + origin, max(samples) * factor + origin))
        out.append(QuantityValue(param, ends[0], ends[1], *_unit(value["origin"])))


def _position(param: str, value: Any, out: Out) -> None:
    if type(value) is dict:
        north, east = number_of(value.get("latitude")), number_of(value.get("longitude"))
        if north is not None and east is not None and abs(north) <= 90 and abs(east) <= 180:
            out.append(PositionValue(param, north, east))


def _narrative(param: str, value: Any, out: Out) -> None:
    """Each word as a string of its own: of a narrative, or of a whole resource."""
    if type(value) is dict:
        out.extend(StringValue(param, word, word) for word in words_of_resource(value))
    elif type(value) is str:
        out.extend(StringValue(param, word, word) for word in words_of_xhtml(value))


def _sounds(param: str, value: Any, out: Out) -> None:
    """The sound of each word of a name as a string of its own."""
    texts: Out = []
    if type(value) is dict:
        _parts(_SPOKEN_PARTS)(param, value, texts)
    else:
        of_string(param, value, texts)
    for one in texts:
        if isinstance(one, StringValue):
            out.extend(StringValue(param, sound, sound) for sound in sounds(one.text))


_CONVERTERS: dict[tuple[str, str], Converter] = {
    ("token", "Coding"): of_coding,
    ("token", "CodeableConcept"): of_concept,
    ("token", "Identifier"): of_identifier,
    ("token", "ContactPoint"): _contact,
    ("date", "Period"): _period,
    ("date", "Timing"): _timing,
    ("string", "HumanName"): _parts(_NAME_PARTS),
    ("string", "Address"): _parts(_ADDRESS_PARTS),
    ("reference", "Reference"): of_reference,
    ("reference", "Resource"): _inline_resource,
    ("reference", "canonical"): _canonical,
    ("reference", "uri"): _canonical,
    ("number", "Range"): _number_range,
    ("quantity", "Range"): _quantity_range,
    ("quantity", "Money"): _money,
    ("quantity", "SampledData"): _sampled,
}
for _name in ("boolean", "code", "id", "string", "uri"):
    _CONVERTERS["token", _name] = of_code
for _name in ("date", "dateTime", "instant", "string"):
    _CONVERTERS["date", _name] = of_date
for _name in ("string", "markdown", "code", "id"):
    _CONVERTERS["string", _name] = of_string
for _name in ("uri", "url", "canonical", "oid", "uuid"):
    _CONVERTERS["uri", _name] = _uri
for _name in ("decimal", "integer", "positiveInt", "unsignedInt"):
    _CONVERTERS["number", _name] = _number
for _name in ("Quantity", "Age", "Duration", "Count", "Distance"):
    _CONVERTERS["quantity", _name] = of_quantity


def _extension(kind: str) -> Converter:
    """The value of an extension, by the type that its key says."""
    known = {
        key: _CONVERTERS[kind, type_name]
        for key, type_name in TYPES["Extension"].elements["value"].json_names.items()
        if (kind, type_name) in _CONVERTERS
    }

    def convert(param: str, value: Any, out: Out) -> None:
        if type(value) is dict:
            for key, one in value.items():
                if key in known:
                    known[key](param, one, out)

    return convert


_EXTENSIONS = {kind: _extension(kind) for kind in ("token", "string", "reference", "date")}


def of_type(kind: str, type_name: str) -> Converter | None:
    """How a value of a FHIR type becomes index values of a kind; None where R4 has no meaning."""
    if type_name in RESOURCE_TYPES:
        type_name = "Resource"
    return _CONVERTERS.get((kind, type_name))


_BY_KIND = {"position": _position, "words": _narrative, "phonetic": _sounds, "age": None}


def _composite(param: SearchParam, root: Branch) -> Converter:
    """A composite is converted from the whole resource."""
    parts = []
    for component in param.components:
        of_resource, found = component_branches(component, root, param.base)
        base = param.base if of_resource else root.type
        mine = SearchParam("", component.type, base, "", (), "")
        pairs = [(branch, converter(mine, branch)) for branch in found]
        known = tuple((branch, convert) for branch, convert in pairs if convert is not None)
        parts.append(Part(component.type, of_resource, known))
    return composite_of(root, parts)


def converter(param: SearchParam, branch: Branch) -> Converter | None:
    """How values of a branch become index values; None where R4 has no meaning for the pair."""
    if param.kind in _BY_KIND:
        return _BY_KIND[param.kind]
    if param.components:
        return _composite(param, branch)
    if branch.type == "Extension":
        return _EXTENSIONS.get(param.type)
    if (param.type, branch.type) == ("token", "code"):
        binding = _binding(param.base, branch)
        if binding is not None:
            return BoundCode(binding)
    return _CONVERTERS.get((param.type, branch.type))


def _binding(base: str, branch: Branch) -> str | None:
    """The required value set of the element that a branch ends at."""
    kind, binding = base, None
    for step in branch.steps:
        if not isinstance(step, Key):
            continue
        table = TYPES.get(kind)
        found = table.json_names.get(step.name) if table is not None else None
        if found is None:
            return None
        binding, kind = found[0].binding, found[1]
    return binding
