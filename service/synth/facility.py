"""Organizations, Locations and Practitioners that the patients of a population share."""

from __future__ import annotations

from functools import lru_cache

from service.synth.concepts import Json, coding, concept
from service.synth.identifiers import IdSource, stream
from service.synth.names import choose_name
from service.synth.places import CITIES, City, phone, street_address

FACILITY_SYSTEM = "urn:oid:2.16.840.1.113883.19.6"  # HL7's arc for examples
NPI_SYSTEM = "http://hl7.org/fhir/sid/us-npi"
CITIES_PER_POPULATION = 5

_PROVIDER = [
    concept(
        "Healthcare Provider",
        coding(
            "http://terminology.hl7.org/CodeSystem/organization-type", "prov", "Healthcare Provider"
        ),
    )
]
_SPECIALTIES = ("primary", "primary", "primary", "emergency", "hospital", "surgery", "obstetrics")
_QUALIFICATION = [
    {
        "code": concept(
            "Doctor of Medicine",
            coding("http://terminology.hl7.org/CodeSystem/v2-0360", "MD", "Doctor of Medicine"),
        )
    }
]
_BACKGROUND = (
    "english",
    "english",
    "european",
    "hispanic",
    "south_asian",
    "east_asian",
    "african_american",
)


class Site:
    """A clinic or hospital: its Organization and Location, as references."""

    __slots__ = ("location", "name", "organization")

    def __init__(self, name: str, organization: Json, location: Json) -> None:
        self.name, self.organization, self.location = name, organization, location


class Facilities:
    """The shared resources of a population and the references to them by city and role."""

    __slots__ = ("cities", "clinics", "hospitals", "practitioners", "resources")

    def __init__(self, seed: int) -> None:
        random, ids = stream(seed, "facilities"), IdSource(seed, "facilities")
        self.resources: list[Json] = []
        self.cities: tuple[City, ...] = tuple(random.sample(CITIES, CITIES_PER_POPULATION))
        self.clinics: dict[str, Site] = {}
        self.hospitals: dict[str, Site] = {}
        self.practitioners: dict[tuple[str, str], list[Json]] = {}
        npi = 9_999_900_000  # real NPIs begin with 1 or 2
        for number, city in enumerate(self.cities):
            for kind, sites in (
                ("Family Health Center", self.clinics),
                ("General Hospital", self.hospitals),
            ):
                name = f"{city.name} {kind}"
                address = {
                    "line": [street_address(random)],
                    "city": city.name,
                    "state": city.state,
                    "postalCode": f"{city.zip_base:05d}",
                    "country": "US",
                }
                telecom = [
                    {"system": "phone", "value": phone(random, city.area_code), "use": "work"}
                ]
                organization_id, location_id = ids.next(), ids.next()
                code = f"{number + 1:02d}{'H' if sites is self.hospitals else 'C'}"
                organization = {"reference": f"Organization/{organization_id}", "display": name}
                self.resources.append(
                    {
                        "resourceType": "Organization",
                        "id": organization_id,
                        "identifier": [{"system": FACILITY_SYSTEM, "value": f"{seed}-{code}"}],
                        "active": True,
                        "type": _PROVIDER,
                        "name": name,
                        "telecom": telecom,
                        "address": [address],
                    }
                )
                self.resources.append(
                    {
                        "resourceType": "Location",
                        "id": location_id,
                        "identifier": [{"system": FACILITY_SYSTEM, "value": f"{seed}-{code}-L"}],
                        "status": "active",
                        "name": name,
                        "mode": "instance",
                        "telecom": telecom,
                        "address": address,
                        "managingOrganization": organization,
                    }
                )
                sites[city.name] = Site(
                    name,
                    organization,
                    {"reference": f"Location/{location_id}", "display": name},
                )
            for specialty in _SPECIALTIES:
                npi += 1
                female = random.random() < 0.5
                family, given = choose_name(random, random.choice(_BACKGROUND), female)
                practitioner_id = ids.next()
                self.resources.append(
                    {
                        "resourceType": "Practitioner",
                        "id": practitioner_id,
                        "identifier": [{"system": NPI_SYSTEM, "value": str(npi)}],
                        "active": True,
                        "name": [
                            {"use": "official", "family": family, "given": given, "prefix": ["Dr."]}
                        ],
                        "gender": "female" if female else "male",
                        "qualification": _QUALIFICATION,
                    }
                )
                self.practitioners.setdefault((city.name, specialty), []).append(
                    {
                        "reference": f"Practitioner/{practitioner_id}",
                        "display": f"Dr. {given[0]} {family}",
                    }
                )


@lru_cache(maxsize=16)
def facilities(seed: int) -> Facilities:
    """The facilities of a population, made once for each seed."""
    return Facilities(seed)


def shared_resources(seed: int) -> list[Json]:
    """The Organizations, Locations and Practitioners that the patients of `seed` refer to."""
    return list(facilities(seed).resources)


__all__ = ["Facilities", "Site", "facilities", "shared_resources"]
