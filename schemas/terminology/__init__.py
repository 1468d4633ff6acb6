"""Code systems, value sets and concept maps: what a code is, and which codes are meant.

https://hl7.org/fhir/R4/terminology-service.html
"""

from schemas.terminology.terminology import Membership, Terminology

__all__ = ["Membership", "Terminology"]
