"""What the record itself says of the patient and those around: the surest list of what to find.

Values are taken from FHIR Patient, RelatedPerson, Practitioner, Organization and Location: names,
addresses, telecoms, identifiers, birth dates.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nlp.phi.span import IDENTIFIER, LOCATION, NAME, ORGANIZATION, PHONE, ZIP, PhiSpan
from nlp.phi.words import clinical_words, not_names

_PERSONS = ("Patient", "RelatedPerson", "Practitioner", "Person")
_MIN_NAME, _MIN_ANY_CASE, _MIN_IDENTIFIER = 2, 4, 4
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_DIGITS = re.compile(r"\d+")


@dataclass(slots=True)
class Known:
    """Texts to find, by category. `names` are single words, the others whole phrases."""

    names: set[str] = field(default_factory=set)
    phrases: dict[str, set[str]] = field(default_factory=dict)

    def add(self, category: str, phrase: str | None) -> None:
        """Add a phrase of a category; blanks and one-character values are left out."""
        if phrase and len(phrase.strip()) > 1:
            self.phrases.setdefault(category, set()).add(phrase.strip())


def known_from(resources: Iterable[Mapping[str, Any]]) -> Known:
    """The texts that those FHIR resources name; other types are passed over."""
    known = Known()
    for resource in resources:
        kind = resource.get("resourceType")
        if kind in _PERSONS:
            for name in resource.get("name", ()):
                _add_name(known, name)
            for contact in resource.get("contact", ()):
                _add_name(known, contact.get("name", {}))
                _add_places(known, [contact.get("address", {})], contact.get("telecom", ()))
        elif kind in ("Organization", "Location"):
            for phrase in (resource.get("name"), *resource.get("alias", ())):
                known.add(ORGANIZATION, phrase)
        else:
            continue
        addresses = resource.get("address", ())
        _add_places(
            known,
            [addresses] if isinstance(addresses, Mapping) else addresses,
            resource.get("telecom", ()),
        )
        for identifier in resource.get("identifier", ()):
            if len(identifier.get("value") or "") >= _MIN_IDENTIFIER:
                known.add(IDENTIFIER, identifier["value"])
        if resource.get("id") and kind == "Patient":
            known.add(IDENTIFIER, resource["id"])
    return known


def _add_name(known: Known, name: Mapping[str, Any]) -> None:
    for part in (name.get("family"), *name.get("given", ()), name.get("text")):
        if part:
            words = _WORD.findall(part)
            known.names.update(word for word in words if len(word) >= _MIN_NAME)


def _add_places(
    known: Known, addresses: Iterable[Mapping[str, Any]], telecoms: Iterable[Mapping[str, Any]]
) -> None:
    for address in addresses:
        for phrase in (*address.get("line", ()), address.get("city"), address.get("district")):
            known.add(LOCATION, phrase)
        known.add(ZIP, address.get("postalCode"))
    for telecom in telecoms:
        known.add(PHONE, telecom.get("value"))


def _pattern(phrase: str) -> str:
    """The phrase however its blanks and marks are written: `555-123-4567` as `(555) 123 4567`."""
    if len(_DIGITS.findall(phrase)) and sum(c.isalpha() for c in phrase) == 0:
        return r"[\s().+-]{0,3}".join(re.escape(c) for c in phrase if c.isdigit())
    return r"[\s,]+".join(re.escape(word) for word in phrase.split())


def known_spans(text: str, known: Known) -> Iterator[PhiSpan]:
    """Where the known texts stand, in any case; a name that is a word only with its capital."""
    for category, phrases in known.phrases.items():
        alternatives = sorted((_pattern(p) for p in phrases), key=len, reverse=True)
        pattern = re.compile(rf"(?<!\w)(?:{'|'.join(alternatives)})(?!\w)", re.IGNORECASE)
        for match in pattern.finditer(text):
            yield PhiSpan(match.start(), match.end(), category, 1.0)
    loose = {name for name in known.names if len(name) >= _MIN_ANY_CASE and not _is_word(name)}
    exact = {
        form for name in known.names - loose for form in (name.capitalize(), name, name.upper())
    }
    for words, flags in ((loose, re.IGNORECASE), (exact, 0)):
        if words:
            body = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
            pattern = re.compile(rf"(?<!\w)(?:{body})(?!\w)", flags)
            for match in pattern.finditer(text):
                yield PhiSpan(match.start(), match.end(), NAME, 1.0)


def _is_word(name: str) -> bool:
    return name.lower() in not_names() or name.lower() in clinical_words()
