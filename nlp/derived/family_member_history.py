"""FamilyMemberHistory: one per relative, with what the note says that relative has or had.

https://hl7.org/fhir/R4/familymemberhistory.html. A relative who is not named is FAMMEMB. What the
family does not have is not recorded.
"""

from collections.abc import Sequence
from typing import Any

from nlp.derived.note_source import NoteSource, codeable_concept, concept_key, reference, skeleton
from nlp.mention import Mention

ROLE_CODE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
_SOMEBODY = {"code": "FAMMEMB", "display": "family member"}


def relative(mention: Mention) -> dict[str, str]:
    """The v3 RoleCode of whose illness it is."""
    found = mention.attribute("RELATION")
    return found.value if found is not None and found.value else _SOMEBODY


def family_member_history(mentions: Sequence[Mention], source: NoteSource) -> dict[str, Any]:
    """One FamilyMemberHistory for all findings of one relative."""
    role = relative(mentions[0])
    resource = skeleton(source, "FamilyMemberHistory", role["code"], mentions)
    resource["status"] = "partial"
    resource["patient"] = reference(source.patient)
    if source.date:
        resource["date"] = source.date
    resource["relationship"] = {"coding": [{"system": ROLE_CODE, **role}], "text": role["display"]}
    illnesses: dict[str, dict[str, Any]] = {}
    for mention in mentions:
        illnesses.setdefault(
            concept_key(mention), {"code": codeable_concept(mention.concepts, mention.text)}
        )
    resource["condition"] = list(illnesses.values())
    return resource
