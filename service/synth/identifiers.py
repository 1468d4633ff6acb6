"""Seeds and logical ids: everything about a patient follows from (seed, index).

Ids have the shape of a version 4 UUID, so that they serve as `urn:uuid:` in a transaction Bundle.
They are drawn from a generator of their own: what a disease module draws does not move the ids.
"""

from __future__ import annotations

from hashlib import blake2b
from random import Random


def stream(seed: int, purpose: str, index: int = 0) -> Random:
    """An independent random stream, the same on every machine for the same arguments."""
    digest = blake2b(f"{seed}/{purpose}/{index}".encode(), digest_size=16).digest()
    return Random(int.from_bytes(digest))  # noqa: S311  # reproducible by design, not a secret


class IdSource:
    """Logical ids of one patient's resources, in the order they are asked for."""

    __slots__ = ("_bytes",)

    def __init__(self, seed: int, purpose: str, index: int = 0) -> None:
        self._bytes = stream(seed, f"id/{purpose}", index).randbytes

    def next(self) -> str:
        """The next id: 36 characters, a valid FHIR id and a valid UUID."""
        h = self._bytes(16).hex()
        return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"


def patient_id(seed: int, index: int) -> str:
    """The logical id of the patient with this index, without generating the patient."""
    return IdSource(seed, "patient", index).next()


def medical_record_number(seed: int, index: int) -> str:
    """An MRN unique within a population and different between seeds."""
    mark = blake2b(f"{seed}/mrn".encode(), digest_size=3).hexdigest().upper()
    return f"{mark}-{index:08d}"
