"""What a search parameter finds in a resource, one class for each kind of parameter.

https://hl7.org/fhir/R4/search.html#ptypes
"""

from __future__ import annotations

from typing import ClassVar

import msgspec


class IndexValue(msgspec.Struct, frozen=True, gc=False):
    """One value of one parameter. `type` is the kind of parameter the value is searched as."""

    param: str
    type: ClassVar[str] = ""


class TokenValue(IndexValue, frozen=True, gc=False):
    """A code with its system; `text` is its display or the concept's text, for `:text`.

    A concept that is only words has neither system nor code. The identifier of a reference is a
    token of the parameter `name:identifier`.
    """

    system: str | None
    code: str | None
    text: str | None
    type: ClassVar[str] = "token"


class DateValue(IndexValue, frozen=True, gc=False):
    """An interval `[low_us, high_us)`, microseconds since the epoch.

    An open end of a Period is `dates.MIN_US` or `dates.MAX_US`.
    """

    low_us: int
    high_us: int
    type: ClassVar[str] = "date"


class StringValue(IndexValue, frozen=True, gc=False):
    """Words as written, and normalized (case and accents folded, spaces collapsed)."""

    text: str
    normalized: str
    type: ClassVar[str] = "string"


class ReferenceValue(IndexValue, frozen=True, gc=False):
    """A reference: type and id where its text says them, `url` when it is absolute or a URN.

    One to a contained resource has its text (`#id`) as id, which is no logical id.
    """

    resource_type: str | None
    id: str | None
    url: str | None
    type: ClassVar[str] = "reference"


class NumberValue(IndexValue, frozen=True, gc=False):
    """A number: `low == high`, or the ends of a Range (infinite where it is open)."""

    low: float
    high: float
    type: ClassVar[str] = "number"


class QuantityValue(IndexValue, frozen=True, gc=False):
    """An amount with its unit; `low == high` unless it has a comparator or is a Range."""

    low: float
    high: float
    system: str | None
    code: str | None
    unit: str | None
    type: ClassVar[str] = "quantity"


class UriValue(IndexValue, frozen=True, gc=False):
    """A URI, compared character by character."""

    uri: str
    type: ClassVar[str] = "uri"


class PositionValue(IndexValue, frozen=True, gc=False):
    """A place on the Earth, in degrees (WGS 84)."""

    latitude: float
    longitude: float
    type: ClassVar[str] = "position"


class CompositeValue(IndexValue, frozen=True):
    """Values that stand together in one repetition of an element, one for each component."""

    parts: tuple[IndexValue, ...]
    type: ClassVar[str] = "composite"
