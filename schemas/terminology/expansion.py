"""`$expand`: the codes of a value set as a ValueSet resource with an expansion.

https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.ids import format_instant
from schemas.outcomes import error
from schemas.terminology.elements import Json
from schemas.terminology.parts import Entry
from schemas.terminology.structured import BCP_47
from schemas.terminology.unknown import Unknown
from schemas.terminology.value_set import ValueSet
from schemas.value_converters import normalized

MAX_UNPAGED = 20_000
"""Codes that are given without being asked for in pages; also the most in one page."""

_NO_WORD = re.compile(r"[\W_]+")
_UNCLOSED = "http://hl7.org/fhir/StructureDefinition/valueset-unclosed"
_KEPT = (
    "resourceType", "url", "version", "name", "title", "status", "experimental", "date",
    "publisher", "copyright",
)  # fmt: skip
_NAMESPACE = uuid.UUID("6f1f2a3c-6a0c-5cf4-9a7e-0b9c3f5a2d11")


@dataclass(frozen=True, slots=True)
class Options:
    """What a client asked for, by the names of the operation's parameters.

    `designations` are tokens `system|code` of a use or a language; `nested` asks for a tree, which
    is given unpaged.
    """

    filter: str = ""
    offset: int | None = None
    count: int | None = None
    include_designations: bool = False
    designations: tuple[str, ...] = ()
    include_definition: bool = False
    active_only: bool = False
    nested: bool = False
    selectable_only: bool = False
    display_language: str = ""
    exclude_systems: tuple[str, ...] = ()


def expand(value_set: ValueSet, options: Options, given: Iterable[Json] = ()) -> Json:
    """The expansion of a value set; `given` are the elements of parameters to be repeated in it.

    Raises FhirError: `unprocessable` where its codes cannot be told, `too-costly` where they are
    too many, or too many to be given at once.
    """
    try:
        entries = value_set.entries()
    except Unknown as reason:
        raise error("unprocessable", f"The value set cannot be expanded: {reason}.") from None
    found = [entry for entry in entries if _wanted(entry, options)]
    if options.filter:
        found = _filtered(value_set, found, options.filter)
    total = len(found)
    paged = options.offset is not None or options.count is not None
    first = options.offset or 0
    page = found[first : None if options.count is None else first + options.count]
    if len(page) > MAX_UNPAGED:
        raise error(
            "too-costly",
            f"The expansion has {total:,} codes; at most {MAX_UNPAGED:,} are given at once. Ask "
            "for pages with count and offset, or for fewer with filter.",
            "count",
        )
    versions = sorted({(one.system, one.version) for one in found if one.version})
    parameters = [
        *given,
        *({"name": "version", "valueUri": f"{system}|{version}"} for system, version in versions),
    ]
    expansion: Json = {
        "identifier": f"urn:uuid:{_identifier(value_set, parameters)}",
        "timestamp": format_instant(datetime.now(UTC)),
        "total": total,
    }
    if value_set.open_reason:
        expansion = {"extension": [{"url": _UNCLOSED, "valueBoolean": True}], **expansion}
    if paged:
        expansion["offset"] = first
    if parameters:
        expansion["parameter"] = parameters
    if options.nested and not paged:
        expansion["contains"] = _tree(page, options)
    else:
        expansion["contains"] = [_contained(entry, options) for entry in page]
    if not expansion["contains"]:
        del expansion["contains"]
    resource = value_set.resource
    kept = {name: resource[name] for name in _KEPT if name in resource}
    if options.include_definition and "compose" in resource:
        kept["compose"] = resource["compose"]
    return {"resourceType": "ValueSet", "status": "active", **kept, "expansion": expansion}


def display_in(entry: Entry, language: str) -> str | None:
    """The words for a code in a language (BCP 47) where there are some, else the usual ones."""
    if language:
        for designation in entry.designations:
            if _speaks(designation, language) and isinstance(designation.get("value"), str):
                return str(designation["value"])
    return entry.display


def _wanted(entry: Entry, options: Options) -> bool:
    if options.active_only and entry.inactive:
        return False
    if options.selectable_only and entry.abstract:
        return False
    return not any(_is_system(entry, one) for one in options.exclude_systems)


def _filtered(value_set: ValueSet, entries: list[Entry], text: str) -> list[Entry]:
    """Those of which each word begins a word of the display or of a designation, or all a code."""
    kept: dict[tuple[str, str], tuple[str, str]] = value_set.worked_out.setdefault("words", {})
    code, parts = normalized(text), [f" {part}" for part in _words(text).split()]
    found = []
    for entry in entries:
        key = (entry.system, entry.code)
        told = kept.get(key)
        if told is None:
            words = [entry.display, *(one.get("value") for one in entry.designations)]
            joined = " ".join(_words(one) for one in words if isinstance(one, str))
            told = kept[key] = (normalized(entry.code), f" {joined}")
        if told[0].startswith(code) or (parts and all(part in told[1] for part in parts)):
            found.append(entry)
    return found


def _words(text: str) -> str:
    """The words of a text, folded, a space between them."""
    return _NO_WORD.sub(" ", normalized(text)).strip()


def _is_system(entry: Entry, canonical: str) -> bool:
    url, _, version = canonical.partition("|")
    return entry.system == url and version in ("", entry.version)


def _contained(entry: Entry, options: Options) -> Json:
    found: Json = {"system": entry.system}
    if entry.abstract:
        found["abstract"] = True
    if entry.inactive:
        found["inactive"] = True
    if entry.version:
        found["version"] = entry.version
    found["code"] = entry.code
    display = display_in(entry, options.display_language)
    if display is not None:
        found["display"] = display
    if options.include_designations or options.designations:
        chosen = [one for one in entry.designations if _chosen(one, options)]
        if chosen:
            found["designation"] = [
                {name: one[name] for name in ("language", "use", "value") if name in one}
                for one in chosen
            ]
    return found


def _chosen(designation: Json, options: Options) -> bool:
    if not options.designations:
        return True
    use = designation.get("use")
    use = use if isinstance(use, dict) else {}
    for token in options.designations:
        system, mark, code = token.rpartition("|")
        if system == BCP_47 or not mark:
            if _speaks(designation, code):
                return True
        elif use.get("code") == code and use.get("system", "") == system:
            return True
    return False


def _speaks(designation: Json, language: str) -> bool:
    """Whether a designation is in a language, or in a variety of it (`de-CH` for `de`)."""
    own = str(designation.get("language", "")).casefold()
    wanted = language.casefold()
    return bool(own) and (own == wanted or own.startswith(f"{wanted}-"))


def _tree(entries: list[Entry], options: Options) -> list[Json]:
    """The entries, each within the first of its parents that is there as well."""
    made = {(entry.system, entry.code): _contained(entry, options) for entry in entries}
    # Each may be placed when what it is to be placed in is not below itself.
    above: dict[tuple[str, str], tuple[str, str]] = {}
    top = []
    for entry in entries:
        key = (entry.system, entry.code)
        parents = entry.concept.parents if entry.concept is not None else []
        parent = next(
            ((entry.system, code) for code in parents if (entry.system, code) in made), None
        )
        at = parent
        while at is not None and at != key:
            at = above.get(at)
        if parent is None or at == key:
            top.append(made[key])
        else:
            above[key] = parent
            made[parent].setdefault("contains", []).append(made[key])
    return top


def _identifier(value_set: ValueSet, parameters: list[Json]) -> uuid.UUID:
    """The same for pages of one expansion: all but their place is in it."""
    resource = value_set.resource
    meta = resource.get("meta")
    place = ("offset", "count")
    said = [
        resource.get("url"),
        resource.get("version"),
        meta.get("versionId") if isinstance(meta, dict) else None,
        *sorted(str(one) for one in parameters if one["name"] not in place),
    ]
    return uuid.uuid5(_NAMESPACE, "\n".join(map(str, said)))
