"""Texts of FHIR dates as moments, many at once: what `schemas.dates` says of each.

https://hl7.org/fhir/R4/datatypes.html#dateTime
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from schemas.dates import date_range

MOMENT = pa.timestamp("us", "UTC")

# What Arrow reads as `schemas.dates` does. All else (years and months, no zone, leap seconds,
# years near the ends of what a datetime holds) is read text by text.
_INSTANT = r"^[12]\d{3}-\d\d-\d\dT\d\d:\d\d:[0-5]\d(\.\d{1,6})?(Z|[+-](0\d|1[0-3]):[0-5]\d)$"
_DAY = r"^[12]\d{3}-\d\d-\d\d$"

# The years 1 to 9999: what a datetime can hold, and the last microsecond of it.
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999


def moments(texts: pa.Array) -> pa.Array:
    """The first moment of each text; null where the text is no FHIR date."""
    encoded = texts.dictionary_encode()
    return _distinct(encoded.dictionary).take(encoded.indices)


def _distinct(texts: pa.Array) -> pa.Array:
    instants = pc.match_substring_regex(texts, _INSTANT)
    days = pc.match_substring_regex(texts, _DAY)
    try:
        found = pc.if_else(instants, texts, None).cast(MOMENT)
        midnights = pc.if_else(days, texts, None).cast(pa.date32()).cast(MOMENT)
    except pa.ArrowInvalid:  # 30 February, say: the others are read one by one as well
        return pa.array([_microseconds(text) for text in texts.to_pylist()], pa.int64()).cast(
            MOMENT
        )
    rest = pc.invert(pc.or_(instants, days))
    if pc.any(rest).as_py():
        others = [_microseconds(text) for text in texts.filter(rest).to_pylist()]
        read = pa.array(others, pa.int64()).cast(MOMENT)
        midnights = pc.replace_with_mask(midnights, rest, read)
    return pc.coalesce(found, midnights)


def _microseconds(text: str) -> int | None:
    try:
        low = date_range(text)[0]
    except ValueError:
        return None
    return low if _FIRST_US <= low <= _LAST_US else None
