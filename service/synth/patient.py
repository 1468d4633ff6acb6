"""The Patient resource, after US Core: race, ethnicity and birth sex as extensions."""

from __future__ import annotations

from random import Random

from service.synth.clock import instant, iso_date
from service.synth.concepts import Json, coding, concept
from service.synth.person import Person
from service.synth.places import phone, street_address

MRN_SYSTEM = "urn:oid:2.16.840.1.113883.19.5"  # HL7's arc for examples
_US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
_CDC = "urn:oid:2.16.840.1.113883.6.238"
_MRN_TYPE = concept(
    "Medical Record Number",
    coding("http://terminology.hl7.org/CodeSystem/v2-0203", "MR", "Medical Record Number"),
)
_MARITAL = {
    code: concept(
        display, coding("http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", code, display)
    )
    for code, display in (("M", "Married"), ("S", "Never Married"))
}
_ENGLISH = [
    {
        "language": concept("English", coding("urn:ietf:bcp:47", "en-US", "English")),
        "preferred": True,
    }
]
_SPANISH = [
    {"language": concept("Spanish", coding("urn:ietf:bcp:47", "es", "Spanish")), "preferred": True}
]

# So that nobody takes a synthetic chart for a person's.
_TEST_DATA = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
    "code": "HTEST",
    "display": "test health data",
}


def _omb(url: str, code: str, display: str) -> Json:
    return {
        "url": _US_CORE + url,
        "extension": [
            {
                "url": "ombCategory",
                "valueCoding": {"system": _CDC, "code": code, "display": display},
            },
            {"url": "text", "valueString": display},
        ],
    }


_HISPANIC = _omb("us-core-ethnicity", "2135-2", "Hispanic or Latino")
_NOT_HISPANIC = _omb("us-core-ethnicity", "2186-5", "Not Hispanic or Latino")
_BIRTH_SEX = {
    female: {"url": _US_CORE + "us-core-birthsex", "valueCode": "F" if female else "M"}
    for female in (True, False)
}


def patient_resource(
    person: Person, random: Random, id: str, mrn: str, practitioner: Json, organization: Json
) -> Json:
    """The Patient, marked as test data (`meta.security` HTEST)."""
    city = person.city
    home, mobile = phone(random, city.area_code), phone(random, city.area_code)
    prefix = "Ms." if person.female else "Mr."
    made: Json = {
        "resourceType": "Patient",
        "id": id,
        "meta": {
            "profile": [_US_CORE + "us-core-patient"],
            "security": [_TEST_DATA],
        },
        "extension": [
            _omb("us-core-race", person.race_code, person.race),
            _HISPANIC if person.hispanic else _NOT_HISPANIC,
            _BIRTH_SEX[person.female],
        ],
        "identifier": [{"use": "usual", "type": _MRN_TYPE, "system": MRN_SYSTEM, "value": mrn}],
        "active": person.death_day is None,
        "name": [{"use": "official", "family": person.family_name, "given": person.given_names}],
        "telecom": [
            {"system": "phone", "value": home, "use": "home"},
            {"system": "phone", "value": mobile, "use": "mobile"},
        ],
        "gender": "female" if person.female else "male",
        "birthDate": iso_date(person.birth_day),
    }
    adult = person.age(person.last_day) >= 18
    if adult:
        made["name"][0]["prefix"] = [prefix]
    if person.death_day is not None:
        made["deceasedDateTime"] = instant(person.death_day, int(random.random() * 1440), city.zone)
    made["address"] = [
        {
            "use": "home",
            "line": [street_address(random)],
            "city": city.name,
            "state": city.state,
            "postalCode": f"{city.zip_base + int(random.random() * 12):05d}",
            "country": "US",
        }
    ]
    if adult:
        made["maritalStatus"] = _MARITAL["M" if person.married else "S"]
    made["communication"] = _SPANISH if person.hispanic and random.random() < 0.3 else _ENGLISH
    made["generalPractitioner"] = [practitioner]
    made["managingOrganization"] = organization
    return made
