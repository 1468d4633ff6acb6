"""Whether two records are of the same member of a health plan: names, birth, sex, numbers.

Strict, as a wrong match shows one person's record to another's payer: whatever both records have
must agree. Spelling counts, but for case, accents, hyphens, apostrophes and spaces.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

Resource = dict[str, Any]

_IGNORED = re.compile(r"[\s\-'’.]+")


def demographics_agree(member: Resource, patient: Resource) -> bool:
    """Same full date of birth, a name in common, and no contradiction in the gender."""
    if member.get("birthDate") != patient.get("birthDate"):
        return False
    genders = {member.get("gender"), patient.get("gender")} - {None, "unknown"}
    if len(genders) > 1:
        return False
    return any(
        _names_agree(one, other)
        for one in objects(member.get("name"))
        for other in objects(patient.get("name"))
        if other.get("use") != "anonymous"
    )


def coverages_agree(asked: Resource, stored: Resource) -> bool:
    """A member number or subscriber id in common. Ones entered in error match nothing."""
    if stored.get("status") == "entered-in-error":
        return False
    subscriber = asked.get("subscriberId")
    if subscriber is not None and subscriber == stored.get("subscriberId"):
        return True
    return any(
        _identifiers_agree(one, other)
        for one in objects(asked.get("identifier"))
        for other in objects(stored.get("identifier"))
    )


def searched_families(member: Resource) -> list[str]:
    """The family names to look for, as they are written."""
    names = [name.get("family") for name in objects(member.get("name"))]
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))


def objects(value: object) -> list[Resource]:
    """The objects of a list. What a datastore stored without looking at it may be anything else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _names_agree(one: Resource, other: Resource) -> bool:
    if _plain(one.get("family")) != _plain(other.get("family")) or not one.get("family"):
        return False
    mine = [_plain(given) for given in one.get("given") or () if given]
    theirs = [_plain(given) for given in other.get("given") or () if given]
    return not mine or not theirs or mine[0] == theirs[0]


def _identifiers_agree(one: Resource, other: Resource) -> bool:
    """The same value, of the same system where both tell theirs."""
    if not one.get("value") or one["value"] != other.get("value"):
        return False
    systems = {one.get("system"), other.get("system")} - {None}
    return len(systems) < 2


def _plain(text: object) -> str:
    decomposed = unicodedata.normalize("NFKD", str(text or "")).casefold()
    bare = "".join(c for c in decomposed if not unicodedata.combining(c))
    return _IGNORED.sub("", bare)
