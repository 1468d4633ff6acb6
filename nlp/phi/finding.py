"""`find`: all finders over one text, and their spans made one."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from nlp.phi.dates import ages, dates
from nlp.phi.known import Known, known_from, known_spans
from nlp.phi.names import names
from nlp.phi.numbers import contacts, identifiers
from nlp.phi.places import organizations, places
from nlp.phi.shouted import unshouted
from nlp.phi.span import PhiSpan, merged

_ENDLESS = re.compile(r"[^\s,;:|]{200,}")


def find(text: str, known: Known | Iterable[Mapping[str, Any]] | None = None) -> list[PhiSpan]:
    """Where `text` holds protected health information, in order, never overlapping.

    `known`: FHIR resources of the patient and of those around (or `known_from` of them, made once
    for many notes), whose names, addresses and numbers are found whatever stands around them.
    Pure; any text is read.
    """
    if known is not None and not isinstance(known, Known):
        known = known_from(known)
    # In a run of marks and letters without end there is no name; reading it as one takes long.
    reading = _ENDLESS.sub(lambda run: " " * len(run.group()), unshouted(text))
    spans = [
        *dates(text),
        *ages(text),
        *contacts(text),
        *identifiers(text),
        *places(reading, text),
        *organizations(reading),
        *names(reading),
        *(known_spans(text, known) if known is not None else ()),
    ]
    return merged(spans)
